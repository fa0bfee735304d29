import { type Revision, compareRevision } from "../kernel/index.ts";

interface Avoided {
  /** Of the row that named the address: a newer row means another program, which is not avoided. */
  readonly revision: Revision;
  readonly untilMonoMs: number;
  readonly strikes: number;
}

/** Addresses that are remembered; the oldest are forgotten, which costs one more failed attempt. */
const addressesMax = 10_000;
const longest = 10;

/**
 * Addresses that failed this program a moment ago. Nobody else is told to avoid them: one caller's broken path is not the
 * server's end. They come back after a while, or at once when a newer row names them.
 */
export class AvoidedAddresses {
  readonly #avoided = new Map<string, Avoided>();

  get size(): number {
    return this.#avoided.size;
  }

  /** For `forMs`, twice as long each time it fails again, up to ten times as long. Requests that fail together are one failure. */
  avoid(address: string, revision: Revision, nowMonoMs: number, forMs: number): void {
    const known = this.#avoided.get(address);
    const same = known !== undefined && compareRevision(known.revision, revision) === 0;
    if (same && known.untilMonoMs > nowMonoMs) return;
    const strikes = same ? known.strikes + 1 : 1;
    this.#avoided.delete(address);
    if (this.#avoided.size >= addressesMax) for (const oldest of this.#avoided.keys()) if (this.#avoided.delete(oldest)) break;
    this.#avoided.set(address, { revision, untilMonoMs: nowMonoMs + Math.min(forMs * 2 ** (strikes - 1), forMs * longest), strikes });
  }

  isAvoided(address: string, revision: Revision, nowMonoMs: number): boolean {
    const known = this.#avoided.get(address);
    return known !== undefined && known.untilMonoMs > nowMonoMs && compareRevision(known.revision, revision) >= 0;
  }

  /** It has answered. */
  forget(address: string): void {
    if (this.#avoided.size > 0) this.#avoided.delete(address);
  }

  /** When the next one comes back; Infinity when none is avoided. */
  nextMonoMs(nowMonoMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMonoMs } of this.#avoided.values()) if (untilMonoMs > nowMonoMs && untilMonoMs < next) next = untilMonoMs;
    return next;
  }
}
