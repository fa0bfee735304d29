import { StoreError } from "./errors.ts";
import { type FileRecord, nameBytesMax, parseFileRecord, parseObjectId, parseVersionedRecord } from "./file-record.ts";
import {
  type ChangeOutcome,
  type Expected,
  deleteRecord,
  isOpen,
  listRecords,
  open,
  putRecord,
  readRecord,
  referencedObjects,
  takeOver,
} from "./metadata-records.ts";
import { type Fleet, type GroupStatus, type GroupType, type JsonValue, type KeyedReader, MusterError, type RequestBody } from "./muster.ts";
import { partitionCount, partitionOf } from "./placement.ts";

export const metadataTable = "metadata";
export const partitionTable = "metadata-partition";
export const listLimitMax = 1000;
export const referencesMax = 1000;

/** The part of the roll that a metadata server looks at. */
export type PartitionMap = Pick<Fleet, "get" | "findPartition">;

/** Does the roll give this partition to the service instance? */
export function servesPartition(map: PartitionMap, instance: string, partition: number): boolean {
  const row = map.get(partitionTable, String(partition))?.value;
  const owner = typeof row === "string" ? row : map.findPartition(partitionTable, partition)?.instance;
  return owner !== undefined && (owner === instance || owner.startsWith(`${instance}.`));
}

/**
 * Is everything committed that this member has in its log? A write is answered only when all members have it there, so a member with
 * nothing open shows every write that was answered, whichever gateway had asked for it. Otherwise one of the open writes may have
 * been answered already, and only the synchronising host knows.
 */
export function isSettled(status: GroupStatus | undefined): boolean {
  return status !== undefined && (status.role === "member" || status.role === "serving") && status.logEnd === status.committed.index;
}

/**
 * What the servers of one service instance answer. Bodies and answers are JSON:
 *
 *   get {name}                            {record | null, settled}
 *   list {partition, prefix, after, limit}  {records, more, settled}
 *   references {objects}                  which of them belong to a file, and which partitions that covers
 *   put {record, expected}                {done: true, version} | {done: false, current}
 *   delete {name, expected}               the same
 *   open {records, version, isLast}       before the first answer: takes over what an earlier format has left
 *
 * `status`: of this member of the group, as soon as there is one.
 */
export function metadataTypes(
  instance: string,
  map: PartitionMap,
  status: () => GroupStatus | undefined,
): Readonly<Record<string, GroupType>> {
  const requirePartition = (partition: number): number => {
    if (!Number.isInteger(partition) || partition < 0 || partition >= partitionCount)
      throw refusal("filestore/no-partition", `there is no partition ${String(partition)}`);
    if (servesPartition(map, instance, partition)) return partition;
    const named = JSON.stringify(map.get(partitionTable, String(partition))?.value ?? null);
    throw refusal(
      "filestore/wrong-server",
      `${instance} does not serve metadata partition ${partition}`,
      `look it up: the roll says ${named}`,
    );
  };
  const requireName = (name: string): string => {
    if (name === "" || Buffer.byteLength(name) > nameBytesMax) throw refusal("filestore/bad-name", `a name has 1 to ${nameBytesMax} bytes`);
    requirePartition(partitionOf("metadata", name));
    return name;
  };
  const requireOpen = (rows: KeyedReader): void => {
    if (!checked(() => isOpen(rows))) throw refusal("filestore/not-open", `${instance} has not been opened yet`, "try again");
  };
  return {
    get: {
      effect: "read",
      handle: (body, { state }) => {
        const name = requireName(textIn(body, "name"));
        requireOpen(state);
        const record = readRecord(state, name);
        return { record: record === undefined ? null : { ...record }, settled: isSettled(status()) };
      },
    },
    list: {
      effect: "read",
      handle: (body, { state }) => {
        const partition = requirePartition(numberIn(body, "partition"));
        requireOpen(state);
        const limit = Math.min(listLimitMax, Math.max(1, numberIn(body, "limit")));
        const page = listRecords(state, partition, { prefix: textIn(body, "prefix"), after: textIn(body, "after"), limit });
        return { records: page.records.map((record) => ({ ...record })), more: page.more, settled: isSettled(status()) };
      },
    },
    references: {
      effect: "read",
      // What was committed a moment ago must not be taken for an object without a file.
      consistency: "latest",
      handle: (body, { state }) => {
        requireOpen(state);
        const objects = listIn(body, "objects", referencesMax).map((one) => checked(() => parseObjectId(String(one))));
        const partitions = Array.from({ length: partitionCount }, (_, one) => one).filter((one) => servesPartition(map, instance, one));
        return { partitions, referenced: referencedObjects(state, objects) };
      },
    },
    put: {
      effect: "write",
      handle: (body, { state }) => {
        const record = checked((): FileRecord => parseFileRecord(fieldOf(body, "record")));
        requireName(record.name);
        requireOpen(state);
        return outcomeOf(putRecord(state, record, expectedIn(body)));
      },
    },
    delete: {
      effect: "write",
      handle: (body, { state }) => {
        const name = requireName(textIn(body, "name"));
        requireOpen(state);
        const expected = expectedIn(body);
        if (expected === "absent") throw refusal("filestore/no-version", "a delete must say which version it deletes");
        return outcomeOf(deleteRecord(state, name, expected));
      },
    },
    open: {
      effect: "write",
      handle: (body, { state }) => {
        if (checked(() => isOpen(state))) return { isOpen: true };
        takeOver(
          state,
          listIn(body, "records", listLimitMax).map((one) => checked(() => parseVersionedRecord(one))),
        );
        const isLast = fieldOf(body, "isLast") === true;
        if (isLast) open(state, numberIn(body, "version"));
        return { isOpen: isLast };
      },
    },
  };
}

/** Errors cross to the caller with their code. */
function refusal(code: string, message: string, next?: string): MusterError {
  return new MusterError(code, message, next === undefined ? {} : { next });
}

function checked<T>(work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw thrown instanceof StoreError ? refusal(thrown.code, thrown.message, thrown.next) : thrown;
  }
}

function outcomeOf(outcome: ChangeOutcome): JsonValue {
  if (outcome.done) return { done: true, version: outcome.version };
  return { done: false, current: outcome.current === undefined ? null : { ...outcome.current } };
}

function fieldOf(body: RequestBody, name: string): unknown {
  return typeof body === "object" && body !== null ? Reflect.get(body, name) : undefined;
}

function badRequest(name: string, what: string): MusterError {
  return refusal("filestore/bad-request", `"${name}" is not ${what}`);
}

function textIn(body: RequestBody, name: string): string {
  const value = fieldOf(body, name);
  if (typeof value !== "string" || !value.isWellFormed()) throw badRequest(name, "a text");
  return value;
}

function numberIn(body: RequestBody, name: string): number {
  const value = fieldOf(body, name);
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw badRequest(name, "a whole number");
  return value;
}

function listIn(body: RequestBody, name: string, itemsMax: number): readonly unknown[] {
  const value = fieldOf(body, name);
  if (!Array.isArray(value) || value.length > itemsMax) throw badRequest(name, `a list of at most ${itemsMax}`);
  return value;
}

function expectedIn(body: RequestBody): Expected {
  return fieldOf(body, "expected") === "absent" ? "absent" : numberIn(body, "expected");
}
