import { assert, limits } from "../kernel/index.ts";
import { badKey, entryTooLarge, stateFull, unknownType, voided } from "./errors.ts";
import { type KeyedChanges, decodeDelta, encodeDelta } from "./keyed-delta.ts";
import { entryBytesMax } from "./options.ts";
import type { Executed, GroupMachine, OrderedRequest, StateChange, StateRow } from "./ports.ts";
import { SortedKeys } from "./sorted-keys.ts";

export interface ListOptions {
  /** Only keys behind this one: the last one of the page before. */
  readonly after?: string;
  /** Default 1000, at most 10 000. */
  readonly limit?: number;
}

/** Rows of bytes by key. Bytes that are handed out or in must not be changed. */
export interface KeyedReader {
  get(key: string): Uint8Array | undefined;
  /** Rows whose key begins with `prefix`, ascending by UTF-16 units. */
  list(prefix: string, options?: ListOptions): StateRow[];
}

/** What a handler of writes works on: it sees everything that was ordered before and its own changes. Void once the handler has returned or was given up. */
export interface KeyedTransaction extends KeyedReader {
  /** Keys have 1 to 512 UTF-8 bytes. */
  put(key: string, bytes: Uint8Array): void;
  delete(key: string): void;
}

/**
 * Carries out one write. What it does to the rows happens at all members if it returns, and not at all if it throws. It runs at the
 * synchronising host alone, and may run again at another one if that one dies before the write is committed: effects outside of the
 * rows happen at least once.
 */
export type KeyedHandler = (body: Uint8Array, rows: KeyedTransaction, request: OrderedRequest) => Uint8Array | Promise<Uint8Array>;

export interface KeyedStateOptions {
  /** By type of request. */
  readonly handlers: Readonly<Record<string, KeyedHandler>>;
  /** Bytes of all keys and rows; a write that would pass it fails with `groups/state-full`. Default 256 MiB. */
  readonly bytesMax?: number;
}

const bytesMaxDefault = 256 * 1024 * 1024;
const listLimitDefault = 1000;
const listLimitMax = 10_000;

interface Ahead {
  readonly index: number;
  readonly bytes: Uint8Array | undefined;
}

/** A state of rows by key, for handlers that read and write rows. Committed rows in memory, and on top of them what is executed and not installed. */
export class KeyedState implements GroupMachine, KeyedReader {
  readonly #handlers: ReadonlyMap<string, KeyedHandler>;
  readonly #bytesMax: number;
  readonly #rows = new Map<string, Uint8Array>();
  readonly #keys = new SortedKeys();
  readonly #ahead = new Map<string, Ahead>();
  #bytes = 0;
  #running: Transaction | undefined;

  constructor(options: KeyedStateOptions) {
    this.#handlers = new Map(Object.entries(options.handlers));
    this.#bytesMax = options.bytesMax ?? bytesMaxDefault;
  }

  /** Rows, and bytes of their keys and contents, as committed. */
  get size(): number {
    return this.#rows.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What is committed here. */
  get(key: string): Uint8Array | undefined {
    return this.#rows.get(key);
  }

  list(prefix: string, options?: ListOptions): StateRow[] {
    return this.#list(prefix, options, []);
  }

  execute(request: OrderedRequest): Executed | Promise<Executed> {
    const handler = this.#handlers.get(request.type);
    if (handler === undefined) throw unknownType(request.type);
    this.#running?.end();
    const transaction = new Transaction(
      (key) => this.#lookup(key),
      (prefix, options, changes) => this.#list(prefix, options, [this.#ahead, changes]),
    );
    this.#running = transaction;
    try {
      const answer = handler(request.body, transaction, request);
      if (!(answer instanceof Promise)) return this.#finish(transaction, request, answer);
      return answer.then((outcome) => this.#finish(transaction, request, outcome)).finally(() => transaction.end());
    } catch (thrown) {
      transaction.end();
      throw thrown;
    }
  }

  #finish(transaction: Transaction, request: OrderedRequest, outcome: Uint8Array): Executed {
    transaction.demandLive();
    transaction.end();
    const delta = transaction.changes.size === 0 ? new Uint8Array() : encodeDelta(transaction.changes);
    const bytes = outcome.length + delta.length;
    if (bytes > entryBytesMax) throw entryTooLarge(bytes);
    if (transaction.bytesPut > 0 && this.#bytes + transaction.bytesPut > this.#bytesMax) throw stateFull(this.#bytesMax);
    for (const [key, value] of transaction.changes) this.#ahead.set(key, { index: request.index, bytes: value });
    return { outcome, delta };
  }

  install(index: number, delta: Uint8Array): StateChange {
    const changes: { key: string; bytes: Uint8Array | undefined }[] = [];
    for (const [key, bytes] of decodeDelta(delta)) {
      this.#set(key, bytes);
      changes.push({ key, bytes });
      const ahead = this.#ahead.get(key);
      if (ahead !== undefined && ahead.index <= index) this.#ahead.delete(key);
    }
    return changes;
  }

  discard(): void {
    this.#running?.end();
    this.#running = undefined;
    this.#ahead.clear();
  }

  snapshot(): Iterable<StateRow> {
    return Array.from(this.#rows, ([key, bytes]) => ({ key, bytes }));
  }

  restore(rows: Iterable<StateRow>): void {
    this.discard();
    this.#rows.clear();
    this.#keys.clear();
    this.#bytes = 0;
    for (const { key, bytes } of rows) this.#set(key, bytes);
  }

  #set(key: string, bytes: Uint8Array | undefined): void {
    const before = this.#rows.get(key);
    if (before !== undefined) this.#bytes -= before.length + key.length;
    if (bytes === undefined) {
      this.#rows.delete(key);
      if (before !== undefined) this.#keys.delete(key);
      return;
    }
    this.#bytes += bytes.length + key.length;
    this.#rows.set(key, bytes);
    if (before === undefined) this.#keys.add(key);
  }

  #lookup(key: string): Uint8Array | undefined {
    const ahead = this.#ahead.get(key);
    return ahead === undefined ? this.#rows.get(key) : ahead.bytes;
  }

  /** The committed rows with what lies over them; a later layer hides an earlier one. */
  #list(prefix: string, options: ListOptions = {}, layers: readonly ReadonlyMap<string, Ahead | Uint8Array | undefined>[]): StateRow[] {
    const { after = "", limit = listLimitDefault } = options;
    const count = Math.min(limit, listLimitMax);
    const isMeant = (key: string): boolean => key > after && key.startsWith(prefix);
    const over = new Map<string, Uint8Array | undefined>();
    for (const layer of layers) for (const [key, value] of layer) if (isMeant(key)) over.set(key, bytesIn(value));
    const added = [...over.keys()].filter((key) => !this.#rows.has(key)).sort(ascending);
    const found: StateRow[] = [];
    const take = (key: string): void => {
      const bytes = over.has(key) ? over.get(key) : this.#rows.get(key);
      if (bytes !== undefined && found.length < count) found.push({ key, bytes });
    };
    let next = 0;
    const takeAddedBefore = (key: string | undefined): void => {
      for (let one = added[next]; one !== undefined && (key === undefined || one < key); one = added[++next]) take(one);
    };
    for (const key of this.#keys.from(after > prefix ? after : prefix)) {
      if (found.length >= count || !(key.startsWith(prefix) || key < prefix)) break;
      if (!isMeant(key)) continue;
      takeAddedBefore(key);
      take(key);
    }
    takeAddedBefore(undefined);
    return found;
  }
}

function bytesIn(value: Ahead | Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined || value instanceof Uint8Array ? value : value.bytes;
}

function ascending(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** One handler's view and its changes. */
class Transaction implements KeyedTransaction {
  readonly changes = new Map<string, Uint8Array | undefined>();
  bytesPut = 0;
  readonly #lookup: (key: string) => Uint8Array | undefined;
  readonly #listAll: (prefix: string, options: ListOptions | undefined, changes: KeyedChanges) => StateRow[];
  #isOver = false;

  constructor(
    lookup: (key: string) => Uint8Array | undefined,
    listAll: (prefix: string, options: ListOptions | undefined, changes: KeyedChanges) => StateRow[],
  ) {
    this.#lookup = lookup;
    this.#listAll = listAll;
  }

  get(key: string): Uint8Array | undefined {
    this.demandLive();
    return this.changes.has(key) ? this.changes.get(key) : this.#lookup(key);
  }

  list(prefix: string, options?: ListOptions): StateRow[] {
    this.demandLive();
    return this.#listAll(prefix, options, this.changes);
  }

  put(key: string, bytes: Uint8Array): void {
    this.demandLive();
    if (key.length === 0 || !key.isWellFormed() || Buffer.byteLength(key) > limits.keyBytesMax) throw badKey(key);
    assert(bytes instanceof Uint8Array, "a row is bytes");
    this.bytesPut += bytes.length + key.length;
    this.changes.set(key, bytes);
  }

  delete(key: string): void {
    this.demandLive();
    this.changes.set(key, undefined);
  }

  demandLive(): void {
    if (this.#isOver) throw voided();
  }

  end(): void {
    this.#isOver = true;
  }
}
