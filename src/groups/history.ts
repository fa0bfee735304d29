import { groupEpochBlock } from "../tables/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import type { EntryBody } from "./entry.ts";
import type { EntryList } from "./entry-list.ts";
import { malformed } from "./errors.ts";
import { type RowChange, tables } from "./group-log.ts";
import type { CarriedRow } from "./messages.ts";
import type { Position } from "./ports.ts";
import { isLonger } from "./takeover.ts";

/** Where a history parts from another one: by the identity of the data that went on, and its epoch. */
export interface PartingName {
  readonly epoch: number;
  readonly by: string;
}

/**
 * An entry after which this history may lack what was answered before: nobody knew who had held it all (an older roll, a row made again),
 * or somebody gave up what the others held (`isAccepted`).
 */
export interface Parting extends PartingName {
  readonly index: number;
  readonly isAccepted: boolean;
  /** The last entry before it: what lies up to here, by epoch and then by index, is in this history. */
  readonly last: Position;
}

/** What a server that wants to join holds. */
export interface Holding {
  /** The last entry that is committed and installed there. */
  readonly committed: Position;
  /** The last entry of its log, committed or not. */
  readonly last: Position;
  readonly partings: readonly PartingName[];
}

/** So many are remembered; a server that is older than all of them is told from another history all the same. */
export const partingsMax = 32;
const replicaBytes = 8;

/** The partings of this group's history, as far as it is committed here. They follow from the log, so all members have the same. */
export class History {
  #partings: Parting[] = [];

  get partings(): readonly Parting[] {
    return this.#partings;
  }

  /** Takes a committed entry in; returns the rows that change. `last`: the entry before it. */
  install({ epoch, index }: Position, last: Position, body: EntryBody): RowChange[] {
    if (body.kind !== "opened" || body.parting === undefined) return [];
    const parting = { epoch, index, ...body.parting, last };
    const dropped = this.#partings.splice(0, this.#partings.length + 1 - partingsMax);
    this.#partings.push(parting);
    return [...dropped.map((one) => ({ ...rowOf(one), bytes: undefined })), rowOf(parting)];
  }

  *rows(): Iterable<CarriedRow> {
    for (const parting of this.#partings) yield rowOf(parting);
  }

  replace(partings: readonly Parting[]): void {
    this.#partings = [...partings];
  }
}

/** Throws `wire/*` or `groups/malformed`; passes over rows of other tables. */
export function decodeHistory(rows: Iterable<CarriedRow>): readonly Parting[] {
  const partings: Parting[] = [];
  for (const { table, key, bytes } of rows) {
    if (table !== tables.history) continue;
    const reader = new ByteReader(bytes);
    const [epoch, index] = [reader.varint(), reader.varint()];
    const last = { epoch: reader.varint(), index: reader.varint() };
    const by = reader.bytes(replicaBytes).toString("hex");
    const isAccepted = reader.u8() === 1;
    reader.end();
    if (key !== String(index)) throw malformed("a parting of another place");
    partings.push({ epoch, index, by, isAccepted, last });
  }
  return partings.sort((a, b) => a.index - b.index).slice(-partingsMax);
}

function rowOf({ epoch, index, by, isAccepted, last }: Parting): CarriedRow {
  const writer = new ByteWriter(64);
  for (const number of [epoch, index, last.epoch, last.index]) writer.varint(number);
  writer.bytes(Buffer.from(by, "hex"));
  writer.u8(isAccepted ? 1 : 0);
  return { table: tables.history, key: String(index), bytes: writer.take() };
}

/** Partings in a log, from this index on. */
export function partingsIn(entries: EntryList, from: number): readonly Parting[] {
  const found: Parting[] = [];
  for (let index = Math.max(from, entries.base.index + 1); index <= entries.end; index++) {
    const entry = entries.at(index);
    const before = entries.epochAt(index - 1);
    const parting = entry?.body.kind === "opened" ? entry.body.parting : undefined;
    if (entry === undefined || parting === undefined || before === undefined) continue;
    found.push({ epoch: entry.epoch, index, ...parting, last: { epoch: before, index: index - 1 } });
  }
  return found;
}

/** How the first entry of a takeover begins: in a history that goes on, or in one of which nobody knows that it is whole. */
export function beginningOf(last: Position, epoch: number, acceptedEpoch: number, by: string): Extract<EntryBody, { kind: "opened" }> {
  const isAccepted = acceptedEpoch > last.epoch;
  const goesOn = last.index > 0 && blockOf(last.epoch) === blockOf(epoch) && !isAccepted;
  return goesOn ? { kind: "opened" } : { kind: "opened", parting: { by, isAccepted } };
}

/** The first epoch of a row that is made again by a server that holds something. */
export function epochBeyond(promised: number): number {
  return (blockOf(promised) + 1) * groupEpochBlock;
}

/** Epochs of one block are one history, each of which follows from the one before. */
export function blockOf(epoch: number): number {
  return Math.floor(epoch / groupEpochBlock);
}

/**
 * Whether a server that joins here would lose what may have been answered and nobody has given up. Returns from where on its log goes on
 * as this one does not; undefined when what it holds is here, or was given up. `shown`: the last committed entry here; `epochAt`: of the log
 * here, as far as it is kept.
 */
export function lostByJoining(
  { committed, last, partings: passed }: Holding,
  own: readonly Parting[],
  shown: Position,
  epochAt: (index: number) => number | undefined,
): Position | undefined {
  const isSame = (a: PartingName, b: PartingName): boolean => a.epoch === b.epoch && a.by === b.by;
  const missing = own.filter((parting) => !passed.some((one) => isSame(one, parting)));
  const [oldest] = own;
  // It shows what this history never had, since the oldest parting that is still known.
  const isElsewhere = passed.some(
    (one) => one.epoch >= (oldest?.epoch ?? 0) && one.epoch <= committed.epoch && !own.some((parting) => isSame(one, parting)),
  );
  const first = missing.find((parting) => isElsewhere || isLonger(last, parting.last));
  if (first !== undefined) return missing.some(({ index, isAccepted }) => isAccepted && index >= first.index) ? undefined : first.last;
  if (isElsewhere) return shown;
  // A committed entry is in the log of whoever serves later.
  const epochHere = epochAt(committed.index);
  const isOther = committed.index > shown.index || (epochHere !== undefined && epochHere !== committed.epoch);
  return isOther && !missing.some(({ isAccepted }) => isAccepted) ? shown : undefined;
}
