import { type Clock, compareRevision } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";

interface Avoided {
  readonly revision: CompleteRoute["revision"];
  readonly untilMonoMs: number;
  /** Failures in a row. */
  readonly strikes: number;
}

const avoidMsMax = 10_000;
/** Addresses that are remembered; the oldest are forgotten, which costs one more failed attempt. */
const addressesMax = 10_000;

/**
 * Addresses that failed this program a moment ago. Nobody else is told to avoid them: one caller's broken path is not
 * the server's end. They come back after a while, or at once when the row is a new one: another program listens there then.
 */
export class AvoidedAddresses {
  readonly #clock: Clock;
  readonly #avoided = new Map<string, Avoided>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For `forMs`, and twice as long each time it fails again afterwards, up to ten seconds. */
  avoid(route: CompleteRoute, forMs: number): void {
    const name = nameOf(route);
    const known = this.#avoided.get(name);
    const nowMonoMs = this.#clock.monoMs();
    const same = known !== undefined && compareRevision(known.revision, route.revision) === 0;
    // Requests that fail together are one failure. An entry outlives its pause, so that the next failure is known to be one more.
    const strikes = !same ? 1 : known.untilMonoMs > nowMonoMs ? known.strikes : known.strikes + 1;
    const untilMonoMs = nowMonoMs + Math.min(forMs * 2 ** (strikes - 1), Math.max(forMs, avoidMsMax));
    this.#avoided.delete(name);
    if (this.#avoided.size >= addressesMax) for (const oldest of this.#avoided.keys()) if (this.#avoided.delete(oldest)) break;
    this.#avoided.set(name, {
      revision: route.revision,
      untilMonoMs: same ? Math.max(known.untilMonoMs, untilMonoMs) : untilMonoMs,
      strikes,
    });
  }

  isAvoided(route: CompleteRoute): boolean {
    if (this.#avoided.size === 0) return false;
    const known = this.#avoided.get(nameOf(route));
    return known !== undefined && known.untilMonoMs > this.#clock.monoMs() && compareRevision(known.revision, route.revision) >= 0;
  }

  /** It has answered. */
  forget(route: CompleteRoute): void {
    if (this.#avoided.size > 0) this.#avoided.delete(nameOf(route));
  }
}

export function nameOf({ address, port }: Pick<CompleteRoute, "address" | "port">): string {
  return `${address} ${port}`;
}
