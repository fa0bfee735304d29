import { StoreError } from "./errors.ts";

/** Asks every metadata partition; fails unless all of them answered. Resolves with the objects that belong to a file. */
export type AskReferences = (objects: readonly string[]) => Promise<ReadonlySet<string>>;

export interface SweepStore {
  ids(): AsyncIterable<string>;
  delete(id: string): Promise<boolean>;
}

export interface SweepOptions {
  /** An object must have been without a file for so long, as seen by this process. */
  readonly orphanAfterMs: number;
  readonly batch: number;
}

/**
 * Deletes the objects of uploads that were never finished (a gateway was killed between the bytes and the metadata). Age is
 * how long this process has known the object, not its file time: a clock that jumps must not delete an upload under way, and
 * gateways give up an upload that they could not finish well within that age.
 */
export class Sweep {
  readonly #store: SweepStore;
  readonly #ask: AskReferences;
  readonly #options: SweepOptions;
  #knownSinceMs = new Map<string, number>();

  constructor(store: SweepStore, ask: AskReferences, options: SweepOptions) {
    this.#store = store;
    this.#ask = ask;
    this.#options = options;
  }

  /** One round; resolves with the number of objects deleted. */
  async round(nowMonoMs: number): Promise<number> {
    const known = new Map<string, number>();
    let deleted = 0;
    let batch: string[] = [];
    const judge = async () => {
      if (batch.length === 0) return;
      const asked = batch;
      batch = [];
      const referenced = await this.#ask(asked);
      for (const id of asked) if (!referenced.has(id) && (await this.#store.delete(id))) deleted += 1;
    };
    for await (const id of this.#store.ids()) {
      const since = this.#knownSinceMs.get(id) ?? nowMonoMs;
      known.set(id, since);
      if (nowMonoMs - since >= this.#options.orphanAfterMs) batch.push(id);
      if (batch.length === this.#options.batch) await judge();
    }
    await judge();
    this.#knownSinceMs = known;
    return deleted;
  }
}

/** Refuses an answer that does not cover every partition. */
export function requireAllPartitions(answered: ReadonlySet<number>, partitionCount: number): void {
  for (let partition = 0; partition < partitionCount; partition++)
    if (!answered.has(partition))
      throw new StoreError(503, "filestore/partition-silent", `nobody answered for metadata partition ${partition}`);
}
