import { type Database, type RootDatabase, open } from "lmdb";
import { StoreError } from "./errors.ts";
import { type FileRecord, type VersionedRecord, nameBytesMax, parseVersionedRecord } from "./file-record.ts";
import { partitionOf } from "./placement.ts";

/** What the row must be for a change to happen: the version that was read, or "absent". */
export type Expected = number | "absent";

export type ChangeOutcome =
  | { readonly done: true; readonly version: number }
  /** Somebody else was first; this is what stands there now. */
  | { readonly done: false; readonly current: VersionedRecord | undefined };

export interface ListOptions {
  readonly prefix: string;
  /** Names that come after this one only. */
  readonly after: string;
  readonly limit: number;
}

/**
 * The records of one metadata server in LMDB. Rows are keyed by partition and name, so a listing is one walk through one
 * partition in name order; a second database finds a record by its object, for the sweep. A change resolves when it is on
 * the disk: commits do not overlap with their flush.
 */
export class MetadataStore {
  readonly #root: RootDatabase<unknown, Buffer>;
  readonly #files: Database<unknown, Buffer>;
  readonly #objects: Database<unknown, string>;
  readonly #counters: Database<unknown, string>;

  constructor(folder: string) {
    this.#root = open({ path: folder, overlappingSync: false, keyEncoding: "binary", encoding: "json", maxDbs: 4, noSubdir: false });
    this.#files = this.#root.openDB({ name: "files", keyEncoding: "binary", encoding: "json" });
    this.#objects = this.#root.openDB({ name: "objects", encoding: "json" });
    this.#counters = this.#root.openDB({ name: "counters", encoding: "json" });
  }

  get(name: string): VersionedRecord | undefined {
    const value = this.#files.get(rowKey(partitionOf("metadata", name), name));
    return value === undefined ? undefined : parseVersionedRecord(value);
  }

  /** Compare and set: both the record and the version that it had are known, or nothing changes. */
  async put(record: FileRecord, expected: Expected): Promise<ChangeOutcome> {
    return this.#change(record.name, expected, (current, version) => {
      if (current !== undefined) this.#objects.removeSync(current.object);
      this.#objects.putSync(record.object, record.name);
      this.#files.putSync(rowKey(partitionOf("metadata", record.name), record.name), { ...record, version });
    });
  }

  async delete(name: string, expected: number): Promise<ChangeOutcome> {
    return this.#change(name, expected, (current) => {
      if (current !== undefined) this.#objects.removeSync(current.object);
      this.#files.removeSync(rowKey(partitionOf("metadata", name), name));
    });
  }

  /** One partition's records in name order. */
  list(partition: number, { prefix, after, limit }: ListOptions): { records: VersionedRecord[]; more: boolean } {
    const prefixBytes = Buffer.from(prefix);
    const first = Buffer.compare(prefixBytes, Buffer.from(after)) > 0 ? prefix : after;
    const records: VersionedRecord[] = [];
    for (const { key, value } of this.#files.getRange({ start: rowKey(partition, first) })) {
      if (key[0] !== partition || !key.subarray(1, 1 + prefixBytes.length).equals(prefixBytes)) break;
      const record = parseVersionedRecord(value);
      if (after !== "" && record.name === after) continue;
      if (records.length === limit) return { records, more: true };
      records.push(record);
    }
    return { records, more: false };
  }

  /** Which of these objects belong to a file. */
  referenced(objects: readonly string[]): string[] {
    return objects.filter((object) => this.#objects.doesExist(object));
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  async #change(
    name: string,
    expected: Expected,
    apply: (current: VersionedRecord | undefined, version: number) => void,
  ): Promise<ChangeOutcome> {
    return this.#root.transaction((): ChangeOutcome => {
      const current = this.get(name);
      if ((current?.version ?? "absent") !== expected) return { done: false, current };
      // The counter outlives the rows: a name that is deleted and written again never has an old version.
      const last = this.#counters.get("version");
      const version = (typeof last === "number" ? last : 0) + 1;
      this.#counters.putSync("version", version);
      apply(current, version);
      return { done: true, version };
    });
  }
}

function rowKey(partition: number, name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length > nameBytesMax) throw new StoreError(400, "filestore/bad-name", `a name has at most ${nameBytesMax} bytes`);
  return Buffer.concat([Buffer.of(partition), bytes]);
}
