import { describeOperation } from "../../simulation/writes/history.ts";
import { checkLinearizable, describeLinearized } from "../../simulation/writes/linearizability.ts";
import { checkSessions } from "../../simulation/writes/sessions.ts";
import type { Verdict } from "../verdict.ts";
import type { KeptLog, WorkHistory, WorkOperation } from "./work.ts";

const findingsMax = 3;

/** What must hold of every history. `servers`: how many of each group have to tell what they kept. */
export function judgeHistory(history: WorkHistory, servers: ReadonlyMap<string, number>): readonly Verdict[] {
  return [judgeKnown(history), judgeOnce(history), judgeCopies(history, servers), judgeOrder(history), judgeSessions(history)];
}

function judgeKnown({ operations }: WorkHistory): Verdict {
  const unknown = operations.filter(({ fate }) => fate === "unknown");
  return verdict("every write has a known outcome", `${operations.filter(isWrite).length} writes`, unknown.map(describeOperation));
}

/** As the first server of each group has it; that the others agree is a verdict of its own. */
function judgeOnce({ operations, kept }: WorkHistory): Verdict {
  const findings: string[] = [];
  const writes = operations.filter(isWrite);
  const asked = new Map(writes.map((write) => [write.id, write]));
  let acknowledged = 0;
  let keptCount = 0;
  for (const [group, logs] of Map.groupBy(kept, (log) => log.group)) {
    const log = logs[0]?.writes ?? [];
    keptCount += log.length;
    const places = Map.groupBy(log, ({ id }) => id);
    for (const [id, found] of places) {
      const write = asked.get(id);
      if (write === undefined || write.group !== group) findings.push(`${id} is kept by ${group}, and nobody asked it for that`);
      if (found.length > 1) findings.push(`${id} is kept ${found.length} times, at ${found.map(({ index }) => index).join(" and ")}`);
    }
    for (const write of writes.filter((one) => one.group === group)) {
      const place = places.get(write.id)?.[0]?.index;
      if (isAcknowledged(write)) {
        acknowledged++;
        if (place === undefined) findings.push(`lost: ${describeOperation(write)}`);
        else if (place !== write.position?.index) findings.push(`kept at ${place}: ${describeOperation(write)}`);
      } else if (place !== undefined && write.fate !== "unknown")
        findings.push(`kept at ${place} without effect: ${describeOperation(write)}`);
    }
    for (const [at, { index }] of log.entries())
      if (index !== at + 1) {
        findings.push(`${group} keeps place ${index} where ${at + 1} should be`);
        break;
      }
  }
  const unread = new Set(writes.filter(({ group }) => kept.every((log) => log.group !== group)).map(({ group }) => group));
  if (unread.size > 0) findings.push(`nobody said what ${[...unread].join(", ")} keeps`);
  return verdict("every acknowledged write is kept exactly once", `${acknowledged} acknowledged, ${keptCount} kept`, findings);
}

function judgeCopies({ kept }: WorkHistory, servers: ReadonlyMap<string, number>): Verdict {
  const findings: string[] = [];
  for (const [group, count] of servers) {
    const logs = kept.filter((log) => log.group === group);
    if (logs.length !== count) findings.push(`${logs.length} of ${count} servers of ${group} were read`);
    const [first, ...others] = logs;
    for (const other of others) if (first !== undefined) findings.push(...differences(first, other));
  }
  return verdict("all servers of a group keep the same", `${kept.length} copies`, findings);
}

function differences(one: KeptLog, other: KeptLog): readonly string[] {
  const length = Math.max(one.writes.length, other.writes.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one, other].map(({ writes }) => JSON.stringify(writes[at]) ?? "nothing");
    if (a !== b) return [`${one.server} and ${other.server} differ in place ${at + 1}: ${a}, ${b}`];
  }
  return [];
}

function judgeOrder({ operations }: WorkHistory): Verdict {
  const ordered = operations.filter(({ fate, kind }) => fate !== "none" && kind !== "session-read");
  const found = checkLinearizable(ordered);
  const keys = new Set(ordered.map(({ key }) => key)).size;
  return verdict(
    "writes and latest reads are linearizable",
    `${ordered.length} operations on ${keys} keys, ${ordered.filter(({ kind }) => kind === "read").length} of them reads`,
    found.verdict === "yes" ? [] : [describeLinearized(found)],
  );
}

/** Positions are those of a group, and so are sessions. */
function judgeSessions({ operations, kept }: WorkHistory): Verdict {
  const findings: string[] = [];
  for (const [group, ofGroup] of Map.groupBy(operations, ({ group: of }) => of)) {
    const committed = kept.find((log) => log.group === group)?.writes ?? [];
    const finding = checkSessions(
      ofGroup.filter(({ fate }) => fate !== "none"),
      committed,
    );
    if (finding !== undefined) findings.push(finding);
  }
  const reads = operations.filter(({ kind }) => kind === "session-read").length;
  const sessions = new Set(operations.map(({ client, group }) => `${client} ${group}`)).size;
  return verdict("no session goes back, and all see their own writes", `${reads} reads in ${sessions} sessions`, findings);
}

function isWrite({ kind }: WorkOperation): boolean {
  return kind !== "read" && kind !== "session-read";
}

/** A compare-and-set that found something else has changed nothing, and is not kept. */
function isAcknowledged(operation: WorkOperation): boolean {
  return isWrite(operation) && operation.fate === "answered" && !(operation.kind === "cas" && operation.result === "differs");
}

function verdict(what: string, details: string, findings: readonly string[]): Verdict {
  const shown = findings.slice(0, findingsMax).join("; ");
  const more = findings.length > findingsMax ? `; and ${findings.length - findingsMax} more` : "";
  return { what, ok: findings.length === 0, value: findings.length, details: findings.length === 0 ? details : `${shown}${more}` };
}
