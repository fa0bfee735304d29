import { type Clock, type Revision, compareRevision } from "../kernel/index.ts";

/** The oldest are forgotten, which costs one more answer that asks for time. */
const placesMax = 10_000;
/** A server's wish is kept for other requests at most this long. */
const patienceMsMax = 60_000;

/**
 * Servers that have asked to be left alone for a while (Retry-After). Not a failure: nothing doubles, and an answer to a request
 * that was under way does not end it. A newer row does, because another program listens there then.
 */
export class Patience {
  readonly #clock: Clock;
  readonly #asked = new Map<string, { readonly revision: Revision; readonly untilMonoMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ask(place: string, revision: Revision, forMs: number): void {
    const untilMonoMs = this.#clock.monoMs() + Math.min(forMs, patienceMsMax);
    this.#asked.delete(place);
    if (this.#asked.size >= placesMax) for (const oldest of this.#asked.keys()) if (this.#asked.delete(oldest)) break;
    this.#asked.set(place, { revision, untilMonoMs });
  }

  isAsked(place: string, revision: Revision): boolean {
    const asked = this.#asked.get(place);
    if (asked === undefined) return false;
    if (asked.untilMonoMs > this.#clock.monoMs()) return compareRevision(asked.revision, revision) >= 0;
    this.#asked.delete(place);
    return false;
  }
}
