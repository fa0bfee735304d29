import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { Database, RootDatabase } from "lmdb";
import { MusterError, assert, errorOf } from "../kernel/index.ts";
import { checkBatch } from "./check-batch.ts";
import { createDirectory, flushDirectory, lookAt, newRollFile, removeUnfinished, rollFile } from "./data-directory.ts";
import { closed, failed, full } from "./errors.ts";
import {
  decodeEntryKey,
  decodeMetaKey,
  decodeNumberKey,
  encodeEntryKey,
  encodeMetaKey,
  encodeNumberKey,
  headerKey,
  keyKinds,
} from "./key-encoding.ts";
import { type LmdbMeta, readMeta } from "./lmdb-pages.ts";
import { Ownership } from "./ownership.ts";
import { headerRecord, inspectRollFile, sealRecord, unsealRecord } from "./roll-file.ts";
import type { Store, StoreBatch, StoredEntry, StoredLogRecord, StoredRoll, StoredSession } from "./store.ts";

export interface LmdbStoreOptions {
  /** Holds one roll and nothing else, save `companions`. Created (for its owner alone) when it is missing. */
  readonly directory: string;
  /**
   * The file's limit; at it, commits are refused with `storage/full`, save those that delete or trim. So much address
   * space is reserved, no memory and no disk. Default 64 GiB; at least 1 MiB.
   */
  readonly fileBytesMax?: number;
  /** Names of files that other parts of the node keep in the same directory. */
  readonly companions?: readonly string[];
}

type Tree = RootDatabase<Buffer, Uint8Array>;

const fileBytesDefault = 64 * 2 ** 30;
const fileBytesLeast = 2 ** 20;
/** Room beyond the limit for batches that make the roll smaller. */
const reserveBytes = 2 ** 20;
/** Pages that any commit may copy besides those of its own records: branches, the free list. */
const pagesPerCommit = 32;

/**
 * The roll in one LMDB environment: one transaction per batch, and two flushes to the disk before `commit` resolves (the
 * pages, then the meta page that makes them current). The flush is done in the event loop's thread, on purpose:
 * docs/decisions/003. `lmdb` is loaded when a store is opened, because agents, which have none, start without it.
 */
export class LmdbStore implements Store {
  readonly #directory: string;
  readonly #path: string;
  readonly #fileBytesMax: number;
  readonly #companions: readonly string[];
  #ownership: Ownership | undefined;
  #tree: Tree | undefined;
  /** For reading the meta pages; never the lock file, because closing any handle of that would give up LMDB's locks. */
  #file: number | undefined;

  constructor(options: LmdbStoreOptions) {
    this.#directory = options.directory;
    this.#path = join(options.directory, rollFile);
    this.#fileBytesMax = Math.max(options.fileBytesMax ?? fileBytesDefault, fileBytesLeast);
    this.#companions = options.companions ?? [];
  }

  /** Rejects with `storage/busy`, `storage/foreign`, `storage/damaged`, `storage/newer-layout` or `storage/failed`. */
  async open(): Promise<StoredRoll> {
    const found = lookAt(this.#directory, this.#companions);
    if (found !== "missing") Ownership.refuseIfOwned(this.#directory);
    const seen = found === "roll" ? inspectRollFile(this.#path) : undefined;
    createDirectory(this.#directory);
    const ownership = await this.#guard("claiming", () => Ownership.claim(this.#directory));
    const lockFile = `${this.#path}-lock`;
    const hadLockFile = existsSync(lockFile);
    try {
      if (lookAt(this.#directory, this.#companions) !== "roll") await this.#guard("creating", () => this.#create());
      this.#file = openSync(this.#path, "r");
      // Somebody else may have used the directory between the first look and the claim.
      if (readMeta(this.#file).transaction !== seen) inspectRollFile(this.#path);
      this.#tree = await this.#guard("opening", () => this.#openTree(this.#path));
      this.#ownership = ownership;
      return storedRoll(this.#tree);
    } catch (error) {
      this.#closeFile();
      if (!hadLockFile) rmSync(lockFile, { force: true });
      ownership.release();
      throw error;
    }
  }

  /** Rejects with `storage/full`, `storage/failed`, `storage/bad-batch` or `storage/closed`; the store stays usable. */
  async commit(batch: StoreBatch): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw closed(this.#directory);
    const batchBytes = checkBatch(batch);
    const tree = this.#tree ?? (await this.#reopen());
    const before = readMeta(file);
    this.#refuseBeyondLimit(before, batch, batchBytes);
    try {
      tree.transactionSync(() => write(tree, batch));
    } catch (error) {
      await this.#settle(file, before, error, batchBytes);
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const tree = this.#tree;
    const ownership = this.#ownership;
    this.#tree = undefined;
    this.#ownership = undefined;
    await tree?.close();
    this.#closeFile();
    ownership?.release();
  }

  /**
   * After a failed transaction only the file knows the outcome. LMDB writes the old meta page back when the new one did
   * not reach the disk; the environment is opened anew, because a failed meta page leaves it unusable.
   */
  async #settle(file: number, before: LmdbMeta, thrown: unknown, batchBytes: number): Promise<void> {
    const tree = this.#tree;
    this.#tree = undefined;
    await tree?.close().catch(() => {});
    if (readMeta(file).transaction !== before.transaction) {
      fsyncSync(file);
      return;
    }
    if (this.#isDiskFull(thrown, batchBytes)) throw full(this.#path, "the disk is full", thrown);
    throw failed(this.#path, "writing to", thrown);
  }

  #isDiskFull(thrown: unknown, batchBytes: number): boolean {
    if (/no space|quota|too large/i.test(errorOf(thrown).message)) return true;
    // A write that is cut short by a full disk is reported as an input/output error.
    const disk = statfsSync(this.#directory);
    return disk.bavail * disk.bsize < 2 * batchBytes + reserveBytes;
  }

  #refuseBeyondLimit(meta: LmdbMeta, batch: StoreBatch, batchBytes: number): void {
    const usedBytes = (meta.free.pages + meta.main.pages + pagesPerCommit) * meta.pageBytes;
    const makesRoom = batch.logFrom !== undefined || batch.entries?.some(({ bytes }) => bytes === undefined) === true;
    const limit = this.#fileBytesMax + (makesRoom ? reserveBytes : 0);
    if (usedBytes + 2 * batchBytes > limit) throw full(this.#path, `the file would pass its limit of ${this.#fileBytesMax} bytes`);
  }

  async #reopen(): Promise<Tree> {
    this.#tree = await this.#guard("opening", () => this.#openTree(this.#path));
    return this.#tree;
  }

  async #create(): Promise<void> {
    removeUnfinished(this.#directory);
    const path = join(this.#directory, newRollFile);
    const tree = await this.#openTree(path);
    tree.transactionSync(() => {
      // Braces: the promise that `put` returns would keep the transaction open.
      void tree.put(headerKey, headerRecord());
    });
    await tree.close();
    renameSync(path, this.#path);
    removeUnfinished(this.#directory);
    flushDirectory(this.#directory);
  }

  async #openTree(path: string): Promise<Tree> {
    const lmdb = await import("lmdb");
    const options = {
      path,
      encoding: "binary" as const,
      keyEncoding: "binary" as const,
      // With overlapping flushes a commit would be visible before it is durable.
      overlappingSync: false,
      // Reserved at once: LMDB-js grows the map in the middle of a transaction and does not survive a failure there.
      mapSize: this.#fileBytesMax + 2 * reserveBytes,
      maxDbs: 1,
      permissionsMode: 0o600,
    };
    return lmdb.open<Buffer, Uint8Array>(options);
  }

  async #guard<T>(what: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (/no space/i.test(errorOf(error).message)) throw full(this.#path, "the disk is full", error);
      throw error instanceof MusterError ? error : failed(this.#path, what, error);
    }
  }

  #closeFile(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** Runs inside the transaction: all of it becomes durable together. */
function write(tree: Database<Buffer, Uint8Array>, batch: StoreBatch): void {
  const set = (key: Uint8Array, bytes: Uint8Array | undefined) => {
    // In a synchronous transaction a failure is thrown; the promises say nothing.
    if (bytes === undefined) void tree.remove(key);
    else void tree.put(key, sealRecord(key, bytes));
  };
  for (const [name, bytes] of batch.meta ?? []) set(encodeMetaKey(name), bytes);
  for (const { table, key, bytes } of batch.entries ?? []) set(encodeEntryKey(table, key), bytes);
  for (const { session, bytes } of batch.sessions ?? []) set(encodeNumberKey(keyKinds.session, session), bytes);
  for (const { sequence, bytes } of batch.log ?? []) set(encodeNumberKey(keyKinds.log, sequence), bytes);
  if (batch.logFrom === undefined) return;
  const dropped = tree.getKeys({ start: encodeNumberKey(keyKinds.log, 0), end: encodeNumberKey(keyKinds.log, batch.logFrom) });
  for (const key of [...dropped]) void tree.remove(key);
}

function storedRoll(tree: Tree): StoredRoll {
  const meta = new Map<string, Uint8Array>();
  for (const { key, bytes } of records(tree, keyKinds.meta)) {
    const name = decodeMetaKey(key);
    assert(name !== undefined, "every key was checked when the file was inspected");
    meta.set(name, bytes);
  }
  return { meta, entries: () => entries(tree), sessions: () => sessions(tree), log: () => log(tree) };
}

function* entries(tree: Tree): Iterable<StoredEntry> {
  for (const { key, bytes } of records(tree, keyKinds.entry)) {
    const decoded = decodeEntryKey(key);
    assert(decoded !== undefined, "every key was checked when the file was inspected");
    yield { ...decoded, bytes };
  }
}

function* sessions(tree: Tree): Iterable<StoredSession> {
  for (const { key, bytes } of records(tree, keyKinds.session)) {
    const session = decodeNumberKey(keyKinds.session, key);
    assert(session !== undefined, "every key was checked when the file was inspected");
    yield { session, bytes };
  }
}

function* log(tree: Tree): Iterable<StoredLogRecord> {
  for (const { key, bytes } of records(tree, keyKinds.log)) {
    const sequence = decodeNumberKey(keyKinds.log, key);
    assert(sequence !== undefined, "every key was checked when the file was inspected");
    yield { sequence, bytes };
  }
}

function* records(tree: Tree, kind: number): Iterable<{ readonly key: Uint8Array; readonly bytes: Uint8Array }> {
  for (const { key, value } of tree.getRange({ start: Uint8Array.of(kind), end: Uint8Array.of(kind + 1) }))
    yield { key, bytes: unsealRecord(value) };
}
