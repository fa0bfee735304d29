import { type Revision, compareRevision } from "../kernel/index.ts";

interface Failure {
  /** Of the row that named the address: a newer row means another program, which is not avoided. */
  readonly revision: Revision;
  readonly untilMonoMs: number;
  readonly strikes: number;
  /** Until when the next failure counts as one more strike. */
  readonly rememberedMonoMs: number;
}

/** Addresses that are remembered; the oldest are forgotten, which costs one more failed attempt. */
const addressesMax = 10_000;
const longest = 10;

/**
 * Addresses that failed this program a moment ago. Nobody else is told to avoid them: one caller's broken path is not the
 * server's end. They come back after a while, or at once when they answer or a newer row names them; what failed, came back and fails
 * again soon is avoided for longer, so that a path that comes and goes is not believed each time.
 */
export class AvoidedAddresses {
  /** Those whose time is not up, as far as anybody has looked. */
  readonly #avoided = new Map<string, Failure>();
  /** Those that have not been tried since their time was up. */
  readonly #untried = new Map<string, Failure>();
  readonly #answered = new Map<string, Failure>();

  get size(): number {
    return this.#avoided.size;
  }

  /** For `forMs`, twice as long each time it fails again, up to ten times as long. Requests that fail together are one failure. */
  avoid(address: string, revision: Revision, nowMonoMs: number, forMs: number): void {
    const known = this.#avoided.get(address) ?? this.#untried.get(address) ?? this.#answered.get(address);
    const same = known !== undefined && compareRevision(known.revision, revision) === 0;
    if (same && known.untilMonoMs > nowMonoMs) return;
    const strikes = same && known.rememberedMonoMs > nowMonoMs ? known.strikes + 1 : 1;
    this.#untried.delete(address);
    this.#answered.delete(address);
    const untilMonoMs = nowMonoMs + Math.min(forMs * 2 ** (strikes - 1), forMs * longest);
    put(this.#avoided, address, { revision, untilMonoMs, strikes, rememberedMonoMs: untilMonoMs + 2 * forMs * longest });
  }

  isAvoided(address: string, revision: Revision, nowMonoMs: number): boolean {
    const known = this.#avoided.get(address);
    if (known === undefined || compareRevision(known.revision, revision) < 0) return false;
    if (known.untilMonoMs > nowMonoMs) return true;
    // Its time is up: whoever asks from now on asks a list that is empty.
    this.#avoided.delete(address);
    put(this.#untried, address, known);
    return false;
  }

  /** Its last failure was not followed by an answer, or by a newer row. */
  isKnown(address: string, revision: Revision): boolean {
    const known = this.#avoided.get(address) ?? this.#untried.get(address);
    return known !== undefined && compareRevision(known.revision, revision) >= 0;
  }

  /** It has answered. */
  forget(address: string, nowMonoMs: number): void {
    const known = this.#avoided.get(address) ?? this.#untried.get(address);
    if (known === undefined) return;
    this.#avoided.delete(address);
    this.#untried.delete(address);
    put(this.#answered, address, { ...known, untilMonoMs: Math.min(known.untilMonoMs, nowMonoMs) });
  }

  /** When the next one comes back; Infinity when none is avoided. */
  nextMonoMs(nowMonoMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMonoMs } of this.#avoided.values()) if (untilMonoMs > nowMonoMs && untilMonoMs < next) next = untilMonoMs;
    return next;
  }
}

/** As the youngest. */
function put(failures: Map<string, Failure>, address: string, failure: Failure): void {
  failures.delete(address);
  if (failures.size >= addressesMax) for (const oldest of failures.keys()) if (failures.delete(oldest)) break;
  failures.set(address, failure);
}
