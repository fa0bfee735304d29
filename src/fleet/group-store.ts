import type { Store, StoreBatch, StoredRoll } from "../storage/index.ts";
import { foreignData } from "./group-errors.ts";

const ownerName = "server";

/**
 * A member's directory, marked with the server that it belongs to: the copy of another group, or of another server, would be
 * taken for this one's own. Opened before the server is on the roll, so that it is never named without its state.
 */
export class GroupStore implements Store {
  readonly #inner: Store;
  readonly #directory: string;
  readonly #owner: string;
  #stored: StoredRoll | undefined;
  #isMarked = false;

  /** `owner`: TABLE/SERVER. */
  constructor(inner: Store, directory: string, owner: string) {
    this.#inner = inner;
    this.#directory = directory;
    this.#owner = owner;
  }

  /** Rejects with `fleet/foreign-data` and what the store rejects with; then nothing is left open. */
  async prepare(): Promise<void> {
    const stored = await this.#inner.open();
    const owner = stored.meta.get(ownerName);
    this.#isMarked = owner !== undefined;
    const found = owner === undefined ? undefined : Buffer.from(owner).toString("utf8");
    if (found === this.#owner || (found === undefined && stored.meta.size === 0)) {
      const meta = new Map(stored.meta);
      meta.delete(ownerName);
      this.#stored = { meta, entries: () => stored.entries(), sessions: () => stored.sessions(), log: () => stored.log() };
      return;
    }
    await this.#inner.close();
    throw foreignData(this.#directory, found ?? "something else", this.#owner);
  }

  async open(): Promise<StoredRoll> {
    if (this.#stored === undefined) await this.prepare();
    const stored = this.#stored;
    if (stored === undefined) throw foreignData(this.#directory, "something else", this.#owner);
    return stored;
  }

  /** The mark is durable with the first batch. */
  async commit(batch: StoreBatch): Promise<void> {
    if (this.#isMarked) return this.#inner.commit(batch);
    const marked = { ...batch, meta: [...(batch.meta ?? []), [ownerName, Buffer.from(this.#owner, "utf8")] as const] };
    await this.#inner.commit(marked);
    this.#isMarked = true;
    return undefined;
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }
}
