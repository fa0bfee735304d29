import { MusterError } from "../../../src/kernel/index.ts";
import type { Store, StoreBatch, StoredRoll } from "../../../src/storage/index.ts";
import type { SimMachine } from "./sim-machine.ts";

export type DiskCopy = Pick<SimDisk, "meta" | "entries" | "sessions" | "log">;

/** What survives the crash of the machine that writes it. */
export class SimDisk {
  readonly meta = new Map<string, Uint8Array>();
  readonly entries = new Map<string, { table: number; key: string; bytes: Uint8Array }>();
  readonly sessions = new Map<number, Uint8Array>();
  readonly log = new Map<number, Uint8Array>();
  /** While true every commit is refused and nothing of it is kept. */
  full = false;
  latencyMs: readonly [least: number, most: number] = [0.1, 0.6];
  /** Called for each batch at the instant it becomes durable. */
  readonly durable: (batch: StoreBatch) => void;

  constructor(durable: (batch: StoreBatch) => void) {
    this.durable = durable;
  }

  /** Everything is gone, as after `rm -r` or on the wrong folder. */
  lose(): void {
    for (const part of [this.meta, this.entries, this.sessions, this.log]) part.clear();
  }

  /** What is on it now. */
  copy(): DiskCopy {
    return { meta: new Map(this.meta), entries: new Map(this.entries), sessions: new Map(this.sessions), log: new Map(this.log) };
  }

  restore(copy: DiskCopy): void {
    this.lose();
    for (const [name, bytes] of copy.meta) this.meta.set(name, bytes);
    for (const [name, entry] of copy.entries) this.entries.set(name, entry);
    for (const [session, bytes] of copy.sessions) this.sessions.set(session, bytes);
    for (const [sequence, bytes] of copy.log) this.log.set(sequence, bytes);
  }

  keep(batch: StoreBatch): void {
    for (const [name, bytes] of batch.meta ?? []) this.meta.set(name, bytes);
    for (const { table, key, bytes } of batch.entries ?? []) {
      if (bytes === undefined) this.entries.delete(`${table}\u0000${key}`);
      else this.entries.set(`${table}\u0000${key}`, { table, key, bytes });
    }
    for (const { session, bytes } of batch.sessions ?? []) {
      if (bytes === undefined) this.sessions.delete(session);
      else this.sessions.set(session, bytes);
    }
    for (const { sequence, bytes } of batch.log ?? []) this.log.set(sequence, bytes);
    for (const sequence of this.log.keys()) if (sequence < (batch.logFrom ?? 0)) this.log.delete(sequence);
    this.durable(batch);
  }
}

/** The store of one life of the directory on the disk that outlives it. */
export class SimStore implements Store {
  readonly #disk: SimDisk;
  readonly #machine: SimMachine;
  #underWay: StoreBatch | undefined;

  constructor(disk: SimDisk, machine: SimMachine) {
    this.#disk = disk;
    this.#machine = machine;
    // A crash in the middle of a commit: the disk has all of it or nothing.
    machine.onCrash(() => {
      if (this.#underWay !== undefined && machine.world.random.fraction() < 0.5) disk.keep(this.#underWay);
      this.#underWay = undefined;
    });
  }

  open(): Promise<StoredRoll> {
    const { meta, entries, sessions, log } = this.#disk;
    return Promise.resolve({
      meta: new Map(meta),
      entries: () => [...entries.values()].sort((a, b) => a.table - b.table || (a.key < b.key ? -1 : 1)),
      sessions: () => [...sessions].map(([session, bytes]) => ({ session, bytes })),
      log: () => [...log].sort(([a], [b]) => a - b).map(([sequence, bytes]) => ({ sequence, bytes })),
    });
  }

  commit(batch: StoreBatch): Promise<void> {
    const [least, most] = this.#disk.latencyMs;
    const { world } = this.#machine;
    this.#underWay = batch;
    return new Promise((resolve, reject) => {
      world.after(least + (most - least) * world.random.fraction(), () => {
        if (!this.#machine.alive) return;
        this.#underWay = undefined;
        if (this.#disk.full) {
          this.#machine.input(() => reject(new MusterError("storage/full", "the simulated disk is full", { next: "free some space" })));
          return;
        }
        this.#disk.keep(batch);
        this.#machine.input(resolve);
      });
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
