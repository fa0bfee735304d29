import { type Operation, type Value, apply, describeOperation } from "./history.ts";

/** A committed write, as the log has it. */
export interface CommittedWrite {
  readonly index: number;
  readonly key: string;
  /** Of the key, from this index on. */
  readonly value: Value;
}

/**
 * What is wrong with the `session` reads of a history, undefined when nothing is (Terry and others 1994; PROTOCOLS §7):
 * - a session sees its own writes and never goes back: what begins after an answer that named a position answers from there or later;
 * - the epoch never falls as positions rise;
 * - only committed values: a read that names index i shows what the last write of its key up to i left.
 * With `committed` (every committed write in order) values are compared exactly; without it, only writes whose answers named their place
 * are known, and a value may also be one that a write without a known outcome could have left.
 */
export function checkSessions(history: readonly Operation[], committed?: readonly CommittedWrite[]): string | undefined {
  return checkOrder(history) ?? checkEpochs(history) ?? checkValues(history, committed);
}

function checkOrder(history: readonly Operation[]): string | undefined {
  for (const operations of Map.groupBy(history, ({ client }) => client).values()) {
    const ended = operations
      .filter(({ respondedMs, position }) => respondedMs !== undefined && position !== undefined)
      .sort((a, b) => (a.respondedMs ?? 0) - (b.respondedMs ?? 0));
    const begun = ended.toSorted((a, b) => a.invokedMs - b.invokedMs);
    let highest: Operation | undefined;
    let at = 0;
    for (const operation of begun) {
      for (let next = ended[at]; next !== undefined && (next.respondedMs ?? 0) < operation.invokedMs; next = ended[++at])
        if (highest === undefined || indexOf(next) > indexOf(highest)) highest = next;
      if (highest !== undefined && indexOf(operation) < indexOf(highest))
        return `a session went back: ${describeOperation(operation)} after ${describeOperation(highest)}`;
    }
  }
  return undefined;
}

function indexOf({ position }: Operation): number {
  return position?.index ?? 0;
}

function checkEpochs(history: readonly Operation[]): string | undefined {
  const placed = history.filter(({ position }) => position !== undefined).sort((a, b) => indexOf(a) - indexOf(b));
  let highest: Operation | undefined;
  for (const operation of placed) {
    const before = highest?.position;
    const { position } = operation;
    if (before !== undefined && position !== undefined && position.index > before.index && position.epoch < before.epoch)
      return `an epoch fell: ${describeOperation(operation)} lies behind ${highest === undefined ? "" : describeOperation(highest)}`;
    if (before === undefined || (position !== undefined && position.epoch >= before.epoch)) highest = operation;
  }
  return undefined;
}

function checkValues(history: readonly Operation[], committed: readonly CommittedWrite[] | undefined): string | undefined {
  const reads = Map.groupBy(
    history.filter(({ kind, respondedMs, position }) => kind === "session-read" && respondedMs !== undefined && position !== undefined),
    ({ key }) => key,
  );
  const writes = Map.groupBy(committed ?? placedWrites(history), ({ key }) => key);
  for (const [key, ofKey] of reads) {
    const known = (writes.get(key) ?? []).toSorted((a, b) => a.index - b.index);
    const open = committed === undefined ? history.filter((one) => one.key === key && isOpenWrite(one)) : [];
    for (const read of ofKey) {
      const last = known.findLast(({ index }) => index <= indexOf(read));
      const value = read.result ?? null;
      if (value === (last?.value ?? null)) continue;
      if (open.some((one) => one.invokedMs <= (read.respondedMs ?? 0) && couldLeave(one, value))) continue;
      return `a value that was not committed there: ${describeOperation(read)}; up to that place it is ${String(last?.value ?? null)}`;
    }
  }
  return undefined;
}

/** Writes whose answers named their place, and what they left. */
function placedWrites(history: readonly Operation[]): CommittedWrite[] {
  const writes: CommittedWrite[] = [];
  for (const { key, kind, argument, result, respondedMs, position } of history) {
    if (respondedMs === undefined || position === undefined) continue;
    const { index } = position;
    if (kind === "put" || (kind === "cas" && result === "done")) writes.push({ index, key, value: argument ?? "" });
    else if (kind === "append" || kind === "add") writes.push({ index, key, value: result ?? null });
    else if (kind === "delete") writes.push({ index, key, value: null });
  }
  return writes;
}

function isOpenWrite({ kind, respondedMs, position }: Operation): boolean {
  return kind !== "read" && kind !== "session-read" && (respondedMs === undefined || position === undefined);
}

function couldLeave(write: Operation, value: Value): boolean {
  if (write.kind === "append") return value?.endsWith(write.argument ?? "") === true;
  // Any number may have been there before.
  if (write.kind === "add") return value !== null;
  return apply({ ...write, expected: null }, null).value === value;
}
