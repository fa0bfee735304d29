/**
 * Where a directory keeps what it has acknowledged. The store knows bytes and keys; what they mean is the roll's.
 * One conformance suite runs on every implementation.
 */
export interface Store {
  /** Reads what was kept. Called once, before any commit. Rejects with `storage/*` errors and leaves the place untouched. */
  open(): Promise<StoredRoll>;
  /**
   * Makes one batch durable as a whole: after the promise resolves it survives the loss of power; before that either
   * all of it or nothing does. Called strictly one after the other. A rejection means that nothing of the batch is kept.
   */
  commit(batch: StoreBatch): Promise<void>;
  close(): Promise<void>;
}

/** What a store held when it was opened. The iterables are read once, in order, before the first commit. */
export interface StoredRoll {
  /** Opaque small records by name: fleet id, epochs, counters. */
  readonly meta: ReadonlyMap<string, Uint8Array>;
  /** Entries in the order of (table, key). */
  entries(): Iterable<StoredEntry>;
  /** Writer sessions in order of their number. */
  sessions(): Iterable<StoredSession>;
  /** The kept tail of the log in order of sequence. */
  log(): Iterable<StoredLogRecord>;
}

export interface StoredEntry {
  readonly table: number;
  readonly key: string;
  readonly bytes: Uint8Array;
}

export interface StoredSession {
  readonly session: number;
  readonly bytes: Uint8Array;
}

export interface StoredLogRecord {
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** Limits of a batch; a store refuses more with `storage/bad-batch`, and nothing of that batch is kept. */
export const batchLimits = Object.freeze({
  /** Tables are numbered 0 … 2³² − 1. */
  tableMax: 0xffff_ffff,
  /** Sessions and sequences are whole numbers 0 … 2⁵³ − 1. */
  numberMax: Number.MAX_SAFE_INTEGER,
  /** UTF-8 bytes of an entry's key; the roll allows fewer. */
  keyBytesMax: 1024,
  /** Characters of a meta record's name: ASCII letters, digits, `.`, `_`, `/` and `-`. */
  metaNameMax: 64,
  /** One record. */
  recordBytesMax: 16 * 1024 * 1024,
});

export interface StoreBatch {
  readonly meta?: readonly (readonly [name: string, bytes: Uint8Array])[];
  /** `bytes` undefined deletes. */
  readonly entries?: readonly { readonly table: number; readonly key: string; readonly bytes: Uint8Array | undefined }[];
  readonly sessions?: readonly { readonly session: number; readonly bytes: Uint8Array | undefined }[];
  readonly log?: readonly StoredLogRecord[];
  /** Log records with a lower sequence are dropped. */
  readonly logFrom?: number;
}
