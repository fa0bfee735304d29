/**
 * Storage: where a directory keeps what it has acknowledged. A port of bytes and keys (`store.ts`) with two adapters:
 * memory, and LMDB for one machine without a server to run; one conformance suite in `testing/` runs on all of them.
 * What the bytes mean is the roll's. The LMDB adapter looks at the file before LMDB does, because LMDB trusts every byte.
 * Rejected: an append-only log of our own (LMDB's copy-on-write pages are atomic without a recovery pass), SQLite (a
 * second query language for two access paths), commits in a background thread (docs/decisions/003).
 */
export { LmdbStore, type LmdbStoreOptions } from "./lmdb-store.ts";
export { MemoryStore } from "./memory-store.ts";
export { replaceRoll } from "./replace-roll.ts";
export type { Store, StoreBatch, StoredEntry, StoredLogRecord, StoredRoll, StoredSession } from "./store.ts";
