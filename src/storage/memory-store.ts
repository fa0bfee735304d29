import { MusterError } from "../kernel/index.ts";
import { checkBatch } from "./check-batch.ts";
import { decodeEntryKey, encodeEntryKey } from "./key-encoding.ts";
import type { Store, StoreBatch, StoredEntry, StoredLogRecord, StoredRoll, StoredSession } from "./store.ts";

/**
 * Keeps everything in memory, as long as the object lives: `close()` and another `open()` find what was committed.
 * For tests and for `--store memory`, where a directory that ends takes its roll with it. Copies what it is given.
 */
export class MemoryStore implements Store {
  readonly #meta = new Map<string, Uint8Array>();
  /** By table, then key. */
  readonly #entries = new Map<number, Map<string, Uint8Array>>();
  readonly #sessions = new Map<number, Uint8Array>();
  #log = new Map<number, Uint8Array>();
  /** The highest sequence that the log has held: appending in order keeps the map sorted. */
  #logLast = -1;
  #open = false;

  open(): Promise<StoredRoll> {
    if (this.#open)
      return Promise.reject(
        new MusterError("storage/busy", "this store in memory is open already", { next: "close it before it is opened again" }),
      );
    this.#open = true;
    return Promise.resolve({
      meta: new Map(this.#meta),
      entries: () => this.#sortedEntries(),
      sessions: () => this.#sortedSessions(),
      log: () => this.#sortedLog(),
    });
  }

  commit(batch: StoreBatch): Promise<void> {
    if (!this.#open) return Promise.reject(notOpen());
    try {
      checkBatch(batch);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#apply(batch);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#open = false;
    return Promise.resolve();
  }

  #apply(batch: StoreBatch): void {
    for (const [name, bytes] of batch.meta ?? []) this.#meta.set(name, bytes.slice());
    for (const { table, key, bytes } of batch.entries ?? []) this.#setEntry(table, key, bytes);
    for (const { session, bytes } of batch.sessions ?? []) {
      if (bytes === undefined) this.#sessions.delete(session);
      else this.#sessions.set(session, bytes.slice());
    }
    for (const { sequence, bytes } of batch.log ?? []) this.#append(sequence, bytes.slice());
    if (batch.logFrom !== undefined) this.#trim(batch.logFrom);
  }

  #setEntry(table: number, key: string, bytes: Uint8Array | undefined): void {
    let rows = this.#entries.get(table);
    if (bytes === undefined) {
      rows?.delete(key);
      if (rows?.size === 0) this.#entries.delete(table);
      return;
    }
    if (rows === undefined) {
      rows = new Map();
      this.#entries.set(table, rows);
    }
    rows.set(key, bytes.slice());
  }

  #append(sequence: number, bytes: Uint8Array): void {
    const inOrder = sequence > this.#logLast || this.#log.has(sequence);
    this.#log.set(sequence, bytes);
    if (inOrder) this.#logLast = Math.max(this.#logLast, sequence);
    else this.#log = new Map([...this.#log].sort(([a], [b]) => a - b));
  }

  #trim(logFrom: number): void {
    // The map is sorted by sequence, so the first record that stays ends the search.
    for (const sequence of this.#log.keys()) {
      if (sequence >= logFrom) break;
      this.#log.delete(sequence);
    }
  }

  *#sortedEntries(): Iterable<StoredEntry> {
    for (const table of [...this.#entries.keys()].sort((a, b) => a - b)) {
      const rows = this.#entries.get(table);
      if (rows === undefined) continue;
      // By encoded bytes: the order of UTF-16 units differs from the order of UTF-8 beyond U+FFFF.
      const keys = [...rows.keys()].map((key) => encodeEntryKey(table, key)).sort(Buffer.compare);
      for (const encoded of keys) {
        const key = decodeEntryKey(encoded)?.key ?? "";
        const bytes = rows.get(key);
        if (bytes !== undefined) yield { table, key, bytes };
      }
    }
  }

  *#sortedSessions(): Iterable<StoredSession> {
    for (const [session, bytes] of [...this.#sessions].sort(([a], [b]) => a - b)) yield { session, bytes };
  }

  *#sortedLog(): Iterable<StoredLogRecord> {
    for (const [sequence, bytes] of this.#log) yield { sequence, bytes };
  }
}

function notOpen(): MusterError {
  return new MusterError("storage/closed", "the store is not open", { next: "open it before anything is committed" });
}
