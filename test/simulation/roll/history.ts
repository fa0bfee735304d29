import type { Store, StoreBatch, StoredRoll } from "../../../src/storage/index.ts";
import { decodeChanges } from "../../../src/wire/index.ts";
import { violation } from "./violation.ts";

/** A row as the history knows it. */
export interface KnownRow {
  readonly text: string;
  readonly valid: boolean;
  readonly owner: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly sequence: number;
}

interface Version {
  readonly sequence: number;
  readonly row: KnownRow | undefined;
}

/**
 * What was committed, in order, and from it the state of the whole roll at any revision: the truth that every node is
 * compared with. It is written by the store itself at the instant a commit becomes durable.
 */
export class History {
  readonly #versions = new Map<string, Version[]>();
  #last = 0;
  #epoch = 0;
  changes = 0;
  reigns = 0;
  rebased = 0;

  get last(): number {
    return this.#last;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** All keys that ever were. */
  keys(): IterableIterator<string> {
    return this.#versions.keys();
  }

  at(name: string, sequence: number): KnownRow | undefined {
    const versions = this.#versions.get(name);
    if (versions === undefined) return undefined;
    for (let index = versions.length - 1; index >= 0; index--) {
      const version = versions[index];
      if (version !== undefined && version.sequence <= sequence) return version.row;
    }
    return undefined;
  }

  /** How often a key was written as a new row: once for a mark that is never deleted. */
  births(name: string): number {
    let count = 0;
    let lived = false;
    for (const { row } of this.#versions.get(name) ?? []) {
      if (row !== undefined && !lived) count++;
      lived = row !== undefined;
    }
    return count;
  }

  firstSequence(name: string): number | undefined {
    return this.#versions.get(name)?.find(({ row }) => row !== undefined)?.sequence;
  }

  /** A change became durable. */
  committed(bytes: Uint8Array): void {
    let epoch = 0;
    let sequence = 0;
    const put = (table: number, key: string, row: KnownRow | undefined) => {
      const name = `${table}\u0000${key}`;
      const versions = this.#versions.get(name);
      if (versions === undefined) this.#versions.set(name, [{ sequence, row }]);
      else versions.push({ sequence, row });
    };
    decodeChanges(bytes, {
      begin: (e, s) => {
        epoch = e;
        sequence = s;
        if (s !== this.#last + 1) violation("I2", `revision ${e}.${s} follows ${this.#epoch}.${this.#last}`);
        if (e < this.#epoch) violation("I3", `epoch ${e} follows ${this.#epoch}`);
        if (e > this.#epoch) this.reigns++;
        this.#last = s;
        this.#epoch = e;
        this.changes++;
      },
      put: (table, key, text, valid, owner, incarnation) => {
        const before = this.at(`${table}\u0000${key}`, sequence);
        if (incarnation > 0 && before !== undefined && incarnation < before.incarnation)
          violation("I9", `${key} goes back to incarnation ${incarnation} from ${before.incarnation} at ${sequence}`);
        put(table, key, { text, valid, owner, incarnation, epoch, sequence });
      },
      setValid: (table, key, valid) => {
        const before = this.at(`${table}\u0000${key}`, sequence);
        if (before !== undefined) put(table, key, { ...before, valid, epoch, sequence });
      },
      remove: (table, key) => put(table, key, undefined),
      end: () => {},
    });
  }

  /** A directory that lost its store adopted a replica: what was newer than that is lost, and said to be. */
  rebase(last: { readonly epoch: number; readonly sequence: number }): void {
    this.rebased++;
    for (const versions of this.#versions.values()) while ((versions.at(-1)?.sequence ?? 0) > last.sequence) versions.pop();
    this.#last = last.sequence;
  }
}

/** The store of the simulated directory, telling the history what became durable, at that instant. */
export class HistoryStore implements Store {
  readonly #store: Store;
  readonly #history: History;

  constructor(store: Store, history: History) {
    this.#store = store;
    this.#history = history;
  }

  open(): Promise<StoredRoll> {
    return this.#store.open();
  }

  async commit(batch: StoreBatch): Promise<void> {
    await this.#store.commit(batch);
    this.tell(batch);
  }

  /** Also called for a commit that became durable although its directory never heard of it. */
  tell(batch: StoreBatch): void {
    const { log = [], entries = [], meta } = batch;
    for (const { sequence, bytes } of log) if (sequence > this.#history.last) this.#history.committed(bytes);
    if (log.length > 0 || entries.length === 0 || meta === undefined) return;
    const stored: { last: { epoch: number; sequence: number } } = JSON.parse(Buffer.from(meta[0]?.[1] ?? []).toString());
    this.#history.rebase(stored.last);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
