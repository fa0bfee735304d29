import { groupEpochBlock } from "../tables/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import type { EntryBody } from "./entry.ts";
import type { EntryList } from "./entry-list.ts";
import { malformed } from "./errors.ts";
import { type RowChange, tables } from "./group-log.ts";
import type { CarriedRow } from "./messages.ts";
import { type Opening, type Signed, contradicts, isHere, openingOf, openingsIn, openingsMax } from "./openings.ts";
import type { Position } from "./ports.ts";
import { isLonger } from "./takeover.ts";

/** Where a history parts from another one: by the identity of the data that went on, and its epoch. */
export interface PartingName {
  readonly epoch: number;
  readonly by: string;
}

/**
 * An entry after which this history may lack what was answered before: nobody knew who had held it all (an older roll, a row made again),
 * or somebody gave up what the others held (`isAccepted`). What lies up to `last`, by epoch and then by index, is in this history.
 */
export interface Parting extends Opening {
  readonly isAccepted: boolean;
}

/** What a server holds, as it says it. */
export interface Held {
  /** The last entry that is committed and installed there, and who ordered it. */
  readonly committed: Signed;
  /** The last entry of its log, committed or not. */
  readonly last: Signed;
}

/** What a server that wants to join holds. */
export interface Holding extends Held {
  readonly partings: readonly PartingName[];
}

/** So many are remembered as partings; a server that is older than all of them is told from another history all the same. */
export const partingsMax = 32;
const replicaBytes = 8;
/** How a row names what an opening is. */
const [unaccepted, accepted, goesOn] = [0, 1, 2];

/** Who opened this group's history, and where it parted, as far as it is committed here. That follows from the log, so all members have the same. */
export class History {
  #openings: Opening[] = [];

  get openings(): readonly Opening[] {
    return this.#openings;
  }

  get partings(): readonly Parting[] {
    return this.#openings.filter(isParting);
  }

  /** With those in the log that are not committed yet; `installed`: the last one that is. */
  openingsWith(entries: EntryList, installed: Position): readonly Opening[] {
    return [...this.#openings, ...openingsIn(entries, installed.index + 1)];
  }

  /** Takes a committed entry in; returns the rows that change. `last`: the entry before it. */
  install(at: Position, last: Position, body: EntryBody): RowChange[] {
    const opening = openingOf(at, last, body);
    if (opening === undefined) return [];
    this.#openings.push(opening);
    return [...this.#forget(), rowOf(opening)];
  }

  /** Of a parting that is too old it is remembered for a while that it was an opening. */
  #forget(): RowChange[] {
    const changes: RowChange[] = [];
    const { partings } = this;
    for (const parting of partings.slice(0, Math.max(0, partings.length - partingsMax))) {
      const { epoch, index, by, last } = parting;
      const opening = { epoch, index, by, last };
      this.#openings[this.#openings.indexOf(parting)] = opening;
      changes.push(rowOf(opening));
    }
    const plain = this.#openings.filter((one) => !isParting(one));
    const gone = new Set(plain.slice(0, Math.max(0, plain.length - openingsMax)));
    if (gone.size > 0) this.#openings = this.#openings.filter((one) => !gone.has(one));
    for (const one of gone) changes.push({ ...rowOf(one), bytes: undefined });
    return changes;
  }

  *rows(): Iterable<CarriedRow> {
    for (const opening of this.#openings) yield rowOf(opening);
  }

  replace(openings: readonly Opening[]): void {
    this.#openings = [...openings];
  }
}

function isParting(opening: Opening): opening is Parting {
  return opening.isAccepted !== undefined;
}

/** Throws `wire/*` or `groups/malformed`; passes over rows of other tables. */
export function decodeHistory(rows: Iterable<CarriedRow>): readonly Opening[] {
  const openings: Opening[] = [];
  for (const { table, key, bytes } of rows) {
    if (table !== tables.history) continue;
    const reader = new ByteReader(bytes);
    const [epoch, index] = [reader.varint(), reader.varint()];
    const last = { epoch: reader.varint(), index: reader.varint() };
    const by = reader.bytes(replicaBytes).toString("hex");
    const kind = reader.u8();
    reader.end();
    if (key !== String(index)) throw malformed("an opening of another place");
    openings.push({ epoch, index, by, last, ...(kind === goesOn ? {} : { isAccepted: kind === accepted }) });
  }
  if (openings.length > openingsMax + partingsMax) throw malformed("more openings than anybody remembers");
  return openings.sort((a, b) => a.index - b.index);
}

function rowOf({ epoch, index, by, isAccepted, last }: Opening): CarriedRow {
  const writer = new ByteWriter(64);
  for (const number of [epoch, index, last.epoch, last.index]) writer.varint(number);
  writer.bytes(Buffer.from(by, "hex"));
  writer.u8(isAccepted === undefined ? goesOn : isAccepted ? accepted : unaccepted);
  return { table: tables.history, key: String(index), bytes: writer.take() };
}

/** How the first entry of a takeover begins: in a history that goes on, or in one of which nobody knows that it is whole. */
export function beginningOf(last: Position, epoch: number, acceptedEpoch: number, by: string): Extract<EntryBody, { kind: "opened" }> {
  const isAccepted = acceptedEpoch > last.epoch;
  const isWhole = last.index > 0 && blockOf(last.epoch) === blockOf(epoch) && !isAccepted;
  return isWhole ? { kind: "opened", by } : { kind: "opened", parting: { by, isAccepted } };
}

/** The first epoch of a row that is made again by a server that holds something, or that is older than what a server has promised. */
export function epochBeyond(promised: number): number {
  return (blockOf(promised) + 1) * groupEpochBlock;
}

/** Epochs of one block are one history, each of which follows from the one before. */
export function blockOf(epoch: number): number {
  return Math.floor(epoch / groupEpochBlock);
}

/** The history that a server would join: the last committed entry here, the epoch now, and the log as far as it is kept. */
interface Here {
  readonly openings: readonly Opening[];
  readonly shown: Position;
  readonly epoch: number;
  readonly epochAt: (index: number) => number | undefined;
}

/**
 * Whether a server that joins here would lose what may have been answered and nobody has given up. Returns from where on its log goes on
 * as this one does not; undefined when what it holds is here, or was given up.
 */
export function lostByJoining(
  { committed, last, partings: passed }: Holding,
  { openings, shown, epoch, epochAt }: Here,
): Position | undefined {
  const own = openings.filter(isParting);
  const isSame = (a: PartingName, b: PartingName): boolean => a.epoch === b.epoch && a.by === b.by;
  const missing = own.filter((parting) => !passed.some((one) => isSame(one, parting)));
  // What was given up is what was there then.
  const isGivenUp = (from: number): boolean => missing.some((one) => one.isAccepted && one.index >= from && one.epoch > last.at.epoch);
  const [oldest] = own;
  // It shows what this history never had, since the oldest parting that is still known.
  const isElsewhere = passed.some(
    (one) => one.epoch >= (oldest?.epoch ?? 0) && one.epoch <= committed.at.epoch && !own.some((parting) => isSame(one, parting)),
  );
  const first = missing.find((parting) => isElsewhere || isLonger(last.at, parting.last));
  if (first !== undefined) return isGivenUp(first.index) ? undefined : first.last;
  if (isElsewhere) return shown;
  // A committed entry is in the log of whoever serves later; one that may be committed does not contradict it.
  const isOther = !isHere(committed, openings, shown, epochAt) || contradicts(last, openings, shown, epoch);
  return isOther && !isGivenUp(0) ? shown : undefined;
}
