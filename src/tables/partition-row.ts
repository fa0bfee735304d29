import { hash } from "node:crypto";
import { type JsonValue, MusterError, isRecord, limits } from "../kernel/index.ts";

/** The table of partition maps; a row's key is "TABLE/SERVICE" of a service whose instances share its keys among them. */
export const partitionsTable = "partitions";
/** What moves is a slot: all ordering keys with one hash. A power of two, and the same for every service. */
export const slotsCount = 256;
/** Of a map that was just made: which group owns a slot is then known from the map alone, later only from the groups' logs. */
export const foundingRevision = 1;

/** Slots in a row with one owner. */
export interface SlotRun {
  readonly first: number;
  readonly last: number;
  /** The service instance whose ordering group has them. */
  readonly instance: string;
  /** Of the map: where it was asked that this instance gets them. */
  readonly revision: number;
}

/** A slot is to go from its owner to another group. It stays here until that group has it for good. */
export interface SlotMove {
  readonly slot: number;
  readonly to: string;
  /** Of the map: where it was asked for. It names the move for ever, for a slot is in one move at a time. */
  readonly revision: number;
}

/** Which group has which keys of a service. Changes by compare-and-set only. */
export interface PartitionRow {
  /** Goes up with each change. */
  readonly revision: number;
  /** All slots, in order. */
  readonly runs: readonly SlotRun[];
  /** In order of their slots. */
  readonly moves: readonly SlotMove[];
}

export interface SlotOwner {
  readonly instance: string;
  readonly revision: number;
}

/** The slot of an ordering key. */
export function slotOf(key: string): number {
  return hash("sha256", key, "buffer")[0] ?? 0;
}

/** Undefined when it would be longer than a key may be. */
export function partitionKey(table: string, service: string): string | undefined {
  const key = `${table}/${service}`;
  return Buffer.byteLength(key) > limits.keyBytesMax ? undefined : key;
}

export function ownerOf(row: PartitionRow, slot: number): SlotOwner | undefined {
  return row.runs.find(({ first, last }) => first <= slot && slot <= last);
}

export function moveOf(row: PartitionRow, slot: number): SlotMove | undefined {
  return row.moves.find((move) => move.slot === slot);
}

/** A new map: the slots in equal parts, in the order of the instances. */
export function spreadOver(instances: readonly string[]): PartitionRow {
  const owners = Array.from({ length: slotsCount }, (_, slot) => ({
    instance: instances[Math.floor((slot * instances.length) / slotsCount)] ?? "",
    revision: foundingRevision,
  }));
  return { revision: foundingRevision, runs: runsOf(owners), moves: [] };
}

/** The map in which these slots are on their way; those that are there, or on their way anywhere, are left out. Undefined: none is left. */
export function withMoves(row: PartitionRow, slots: readonly number[], to: string): PartitionRow | undefined {
  const revision = row.revision + 1;
  const wanted = slots.filter((slot) => ownerOf(row, slot)?.instance !== to && moveOf(row, slot) === undefined);
  if (wanted.length === 0) return undefined;
  const moves = [...row.moves, ...wanted.map((slot) => ({ slot, to, revision }))].sort((a, b) => a.slot - b.slot);
  return { ...row, revision, moves };
}

/** The map with what a group's own log says: it has these slots, since these revisions. */
export function withOwners(row: PartitionRow, instance: string, slots: ReadonlyMap<number, number>): PartitionRow {
  const owners = Array.from({ length: slotsCount }, (_, slot) => {
    const revision = slots.get(slot);
    return revision === undefined ? (ownerOf(row, slot) ?? { instance, revision: 0 }) : { instance, revision };
  });
  const moves = row.moves.filter(({ slot, to, revision }) => {
    const since = slots.get(slot);
    return since === undefined || (revision > since && to !== instance);
  });
  return { revision: Math.max(row.revision + 1, ...slots.values()), runs: runsOf(owners), moves };
}

function runsOf(owners: readonly SlotOwner[]): SlotRun[] {
  const runs: SlotRun[] = [];
  for (const [slot, { instance, revision }] of owners.entries()) {
    const last = runs.at(-1);
    if (last?.instance === instance && last.revision === revision) runs[runs.length - 1] = { ...last, last: slot };
    else runs.push({ first: slot, last: slot, instance, revision });
  }
  return runs;
}

/** Reads a row of `partitions`. Throws `tables/bad-partition`. */
export function parsePartitionRow(value: JsonValue): PartitionRow {
  if (!isRecord(value)) throw badPartition("it is not an object");
  const { revision, slots, runs, moves } = value;
  if (!isRevision(revision)) throw badPartition(`"revision" is not a whole number from 1`);
  if (slots !== slotsCount) throw badPartition(`"slots" is not ${slotsCount}`);
  if (!Array.isArray(runs) || !Array.isArray(moves)) throw badPartition(`"runs" and "moves" are not lists`);
  let next = 0;
  const owned = runs.map((run) => {
    const parsed = parseRun(run, revision);
    if (parsed.first !== next) throw badPartition(`slot ${next} has no owner, or two`);
    next = parsed.last + 1;
    return parsed;
  });
  if (next !== slotsCount) throw badPartition(`slot ${next} has no owner`);
  const row = { revision, runs: owned, moves: moves.map((move) => parseMove(move, revision)) };
  let before = -1;
  for (const { slot, to, revision: asked } of row.moves) {
    const owner = ownerOf(row, slot);
    if (slot <= before) throw badPartition("its moves are not in order, or one is there twice");
    if (owner === undefined || owner.instance === to || owner.revision >= asked) throw badPartition(`the move of slot ${slot} is over`);
    before = slot;
  }
  return row;
}

function parseRun(value: unknown, revisionMax: number): SlotRun {
  if (!isRecord(value)) throw badPartition("a run is not an object");
  const { first, last, instance, revision } = value;
  if (!isSlot(first) || !isSlot(last) || last < first) throw badPartition(`a run has no slots`);
  if (!isInstance(instance)) throw badPartition(`a run names no "instance"`);
  if (!isRevision(revision) || revision > revisionMax) throw badPartition("a run is newer than the map");
  return { first, last, instance, revision };
}

function parseMove(value: unknown, revisionMax: number): SlotMove {
  if (!isRecord(value)) throw badPartition("a move is not an object");
  const { slot, to, revision } = value;
  if (!isSlot(slot)) throw badPartition("a move has no slot");
  if (!isInstance(to)) throw badPartition(`a move has no "to"`);
  if (!isRevision(revision) || revision > revisionMax) throw badPartition("a move is newer than the map");
  return { slot, to, revision };
}

function isRevision(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1;
}

function isSlot(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < slotsCount;
}

function isInstance(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && Buffer.byteLength(value) <= limits.keyBytesMax;
}

/** Like `parsePartitionRow`, but a row that nobody can read is none. */
export function readPartitionRow(value: JsonValue): PartitionRow | undefined {
  try {
    return parsePartitionRow(value);
  } catch {
    return undefined;
  }
}

/**
 * Why one map does not follow on another; undefined when it does. A slot's owner is only replaced by one of a later revision, and a move that was
 * asked for goes on until it is done, because the slot may be sealed already.
 */
export function flawOfPartition(before: PartitionRow | undefined, next: PartitionRow): string | undefined {
  return before === undefined ? flawOfFounding(next) : flawOfStep(before, next);
}

function flawOfFounding({ revision, runs, moves }: PartitionRow): string | undefined {
  const isNew = revision === foundingRevision && moves.length === 0 && runs.every((run) => run.revision === foundingRevision);
  return isNew ? undefined : `a new one is of revision ${foundingRevision}, and nothing moves in it`;
}

function flawOfStep(before: PartitionRow, next: PartitionRow): string | undefined {
  if (next.revision <= before.revision) return `it is at revision ${before.revision}`;
  for (let slot = 0; slot < slotsCount; slot++) {
    const [was, is] = [ownerOf(before, slot), ownerOf(next, slot)];
    if (was === undefined || is === undefined) return `slot ${slot} has no owner`;
    if (is.revision < was.revision || (is.revision === was.revision && is.instance !== was.instance))
      return `slot ${slot} is ${was.instance}'s since revision ${was.revision}`;
    const [moved, moves] = [moveOf(before, slot), moveOf(next, slot)];
    const isDone = moved === undefined || is.revision >= moved.revision || is.instance === moved.to;
    if (!isDone && (moves?.to !== moved.to || moves.revision !== moved.revision)) return `slot ${slot} is on its way to ${moved.to}`;
    if (moves !== undefined && moves.revision !== moved?.revision && moves.revision !== next.revision)
      return `the move of slot ${slot} is of another revision`;
  }
  return undefined;
}

/** As it is written into the table. */
export function partitionRowValue({ revision, runs, moves }: PartitionRow): JsonValue {
  return {
    revision,
    slots: slotsCount,
    runs: runs.map((run) => ({ first: run.first, last: run.last, instance: run.instance, revision: run.revision })),
    moves: moves.map((move) => ({ slot: move.slot, to: move.to, revision: move.revision })),
  };
}

function badPartition(why: string): MusterError {
  return new MusterError("tables/bad-partition", `this is no partition map: ${why}`, {
    next: "leave the table partitions to `muster groups --map` and `muster move`",
  });
}
