import { MusterError } from "../kernel/index.ts";
import { MemoryStore, type Store, type StoreBatch, type StoredRoll } from "../storage/index.ts";
import type { SimLife } from "./sim-node.ts";
import type { SimWorld } from "./sim-world.ts";

export interface SimDiskOptions {
  /** From `commit` until it is durable. Default 0.2 ms. */
  readonly commitMs?: number;
  /** Up to so much more, at random. Default 0.1 ms. */
  readonly jitterMs?: number;
  /** Called for each batch when it has become durable, also for one that its program never hears of. */
  readonly durable?: (batch: StoreBatch) => void;
}

/** What was on a disk at one instant. */
export interface SimDiskCopy {
  readonly batch: StoreBatch;
}

/**
 * The disk of one simulated host: what was committed outlives the programs that use it. Each life opens it through a store of
 * its own; when the life ends in the middle of a commit, all of that batch is kept or nothing, as the seed has it.
 */
export class SimDisk {
  readonly #world: SimWorld;
  #content = new MemoryStore();
  #commitMs: number;
  #jitterMs: number;
  #full = false;
  #owner: SimLife | undefined;
  #commits = 0;
  readonly #durable: (batch: StoreBatch) => void;

  constructor(world: SimWorld, options: SimDiskOptions = {}) {
    this.#world = world;
    this.#commitMs = options.commitMs ?? 0.2;
    this.#jitterMs = options.jitterMs ?? 0.1;
    this.#durable = options.durable ?? (() => {});
  }

  /** Batches that have become durable. */
  get commits(): number {
    return this.#commits;
  }

  /** A disk that is slow from now on. */
  slow(commitMs: number, jitterMs = 0): void {
    this.#commitMs = commitMs;
    this.#jitterMs = jitterMs;
  }

  /** While full, every commit is rejected with `storage/full`. */
  set full(full: boolean) {
    this.#full = full;
  }

  /** Everything on it is gone; the next life finds it empty. Only while nobody has it open. */
  lose(): void {
    this.#content = new MemoryStore();
    this.#owner = undefined;
  }

  /** What is on it now, for `restore`: a backup, or the disk of a machine that was cloned. Only while nobody has it open. */
  async copy(): Promise<SimDiskCopy> {
    this.#demandFree();
    await this.#content.close();
    const stored = await this.#content.open();
    const batch = {
      meta: [...stored.meta],
      entries: [...stored.entries()],
      sessions: [...stored.sessions()],
      log: [...stored.log()],
    };
    await this.#content.close();
    return { batch };
  }

  /** Puts a copy in the place of what is there. Only while nobody has it open. */
  async restore(copy: SimDiskCopy): Promise<void> {
    this.#demandFree();
    const content = new MemoryStore();
    await content.open();
    await content.commit(copy.batch);
    await content.close();
    this.#content = content;
  }

  #demandFree(): void {
    if (this.#owner?.alive === true)
      throw new MusterError("storage/busy", `the simulated disk is in use by ${this.#owner.node.name}`, {
        next: "close that store, or crash its node",
      });
  }

  /** The store as one life sees it. */
  store(life: SimLife): Store {
    return new DiskStore(this, life);
  }

  async open(life: SimLife): Promise<StoredRoll> {
    this.#demandFree();
    this.#owner = life;
    await this.#content.close();
    return this.#content.open();
  }

  async release(life: SimLife): Promise<void> {
    if (this.#owner !== life) return;
    this.#owner = undefined;
    await this.#content.close();
  }

  isOpenFor(life: SimLife): boolean {
    return this.#owner === life;
  }

  /** Settles in an event of the life: never after it has ended. */
  commit(life: SimLife, batch: StoreBatch): Promise<void> {
    const content = this.#content;
    return new Promise((resolve, reject) => {
      const keep = () =>
        content.commit(batch).then(() => {
          this.#commits++;
          this.#durable(batch);
        });
      const forget = life.onEnd(() => {
        if (!this.#full && this.#world.random.fraction() < 0.5) void keep().catch(() => {});
      });
      // A disk finishes also while its program stands still, which hears of it when it goes on.
      const hear = (act: () => void) => void life.plan(this.#world.nowMs, "input", act);
      this.#world.after(this.#commitMs + this.#jitterMs * this.#world.random.fraction(), () => {
        if (!life.alive) return;
        forget();
        if (this.#full) hear(() => reject(fullDisk()));
        else
          keep().then(
            () => hear(resolve),
            (thrown: unknown) => hear(() => reject(thrown)),
          );
      });
    });
  }
}

class DiskStore implements Store {
  readonly #disk: SimDisk;
  readonly #life: SimLife;

  constructor(disk: SimDisk, life: SimLife) {
    this.#disk = disk;
    this.#life = life;
  }

  open(): Promise<StoredRoll> {
    return this.#disk.open(this.#life);
  }

  commit(batch: StoreBatch): Promise<void> {
    if (!this.#disk.isOpenFor(this.#life))
      return Promise.reject(
        new MusterError("storage/closed", "the simulated disk is not open", { next: "open it before anything is committed" }),
      );
    return this.#disk.commit(this.#life, batch);
  }

  close(): Promise<void> {
    return this.#disk.release(this.#life);
  }
}

function fullDisk(): MusterError {
  return new MusterError("storage/full", "the batch was not kept: the simulated disk is full", {
    next: "set `full` to false; what was acknowledged before is safe",
  });
}
