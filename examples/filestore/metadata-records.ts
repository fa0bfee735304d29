import { StoreError } from "./errors.ts";
import { type FileRecord, type VersionedRecord, parseVersionedRecord } from "./file-record.ts";
import type { KeyedReader, KeyedTransaction } from "./muster.ts";
import { listNames, readName, removeName, writeName } from "./name-rows.ts";
import { partitionOf } from "./placement.ts";

/**
 * The state of one service instance of metadata servers, as rows that all its members hold:
 *
 *   format            what these rows are; there when the instance may answer
 *   version           the last version that was given
 *   name/P/NAME       one record (longer names: see name-rows.ts)
 *   object/ID         the name of the file that the object belongs to
 */
const formatKey = "format";
const format = "1";
const versionKey = "version";

/** What the row must be for a change to happen: the version that was read, or "absent". */
export type Expected = number | "absent";

export type ChangeOutcome =
  | { readonly done: true; readonly version: number }
  /** Somebody else was first; this is what stands there now. */
  | { readonly done: false; readonly current: VersionedRecord | undefined };

export interface RecordPage {
  readonly records: VersionedRecord[];
  readonly more: boolean;
}

export interface ListOptions {
  readonly prefix: string;
  /** Names that come after this one only; empty: from the first. */
  readonly after: string;
  readonly limit: number;
}

/** Fits into an answer with room to spare, however long the names are. */
const pageBytesMax = 1024 * 1024;

export function readRecord(rows: KeyedReader, name: string): VersionedRecord | undefined {
  const bytes = readName(rows, partitionOf("metadata", name), name);
  return bytes === undefined ? undefined : recordIn(bytes);
}

/** One partition's records in name order. */
export function listRecords(rows: KeyedReader, partition: number, { prefix, after, limit }: ListOptions): RecordPage {
  const records: VersionedRecord[] = [];
  let bytesTaken = 0;
  for (const bytes of listNames(rows, partition, prefix, after === "" ? undefined : after)) {
    if (records.length === limit || bytesTaken > pageBytesMax) return { records, more: true };
    records.push(recordIn(bytes));
    bytesTaken += bytes.length;
  }
  return { records, more: false };
}

/** Which of these objects belong to a file. */
export function referencedObjects(rows: KeyedReader, objects: readonly string[]): string[] {
  return objects.filter((object) => rows.get(objectKey(object)) !== undefined);
}

/** Compare and set: the record and the index of its object change together, or nothing does. */
export function putRecord(rows: KeyedTransaction, record: FileRecord, expected: Expected): ChangeOutcome {
  const current = readRecord(rows, record.name);
  if ((current?.version ?? "absent") !== expected) return { done: false, current };
  const version = nextVersion(rows);
  if (current !== undefined) rows.delete(objectKey(current.object));
  write(rows, { ...record, version });
  return { done: true, version };
}

export function deleteRecord(rows: KeyedTransaction, name: string, expected: number): ChangeOutcome {
  const current = readRecord(rows, name);
  if (current?.version !== expected) return { done: false, current };
  const version = nextVersion(rows);
  rows.delete(objectKey(current.object));
  removeName(rows, partitionOf("metadata", name), name);
  return { done: true, version };
}

/** May this instance answer? Not before somebody has looked whether there are records of an earlier format to take over. */
export function isOpen(rows: KeyedReader): boolean {
  const bytes = rows.get(formatKey);
  if (bytes === undefined) return false;
  const found = Buffer.from(bytes).toString();
  if (found !== format)
    throw new StoreError(500, "filestore/other-format", `the metadata has the format ${found}, this program knows ${format}`, {
      next: "run the version of the file store that wrote it, or a newer one",
    });
  return true;
}

/** Takes records over as they are. */
export function takeOver(rows: KeyedTransaction, records: readonly VersionedRecord[]): void {
  for (const record of records) write(rows, record);
}

/** `version`: the last one that an earlier format has given; none up to there comes back. */
export function open(rows: KeyedTransaction, version: number): void {
  rows.put(versionKey, Buffer.from(String(version)));
  rows.put(formatKey, Buffer.from(format));
}

function write(rows: KeyedTransaction, record: VersionedRecord): void {
  writeName(rows, partitionOf("metadata", record.name), record.name, Buffer.from(JSON.stringify(record)));
  rows.put(objectKey(record.object), Buffer.from(record.name));
}

/** The counter outlives the records: a name that is deleted and written again never has an old version. */
function nextVersion(rows: KeyedTransaction): number {
  const version = Number(Buffer.from(rows.get(versionKey) ?? []).toString()) + 1;
  rows.put(versionKey, Buffer.from(String(version)));
  return version;
}

function objectKey(object: string): string {
  return `object/${object}`;
}

function recordIn(bytes: Uint8Array): VersionedRecord {
  return parseVersionedRecord(JSON.parse(Buffer.from(bytes).toString()));
}
