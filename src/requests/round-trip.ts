const windowMs = 10_000;

/**
 * How long a server's first sign takes at best: the least of the last 10 to 20 s, so that what waits in a queue there does not count as distance.
 */
export class RoundTrip {
  #leastMs = Number.POSITIVE_INFINITY;
  #formerMs = Number.POSITIVE_INFINITY;
  #untilMonoMs = Number.NEGATIVE_INFINITY;

  /** Infinity while nothing is known. */
  get leastMs(): number {
    return this.#leastMs < this.#formerMs ? this.#leastMs : this.#formerMs;
  }

  add(tookMs: number, nowMonoMs: number): void {
    if (nowMonoMs >= this.#untilMonoMs) {
      this.#formerMs = this.#leastMs;
      this.#leastMs = tookMs;
      this.#untilMonoMs = nowMonoMs + windowMs;
    } else if (tookMs < this.#leastMs) this.#leastMs = tookMs;
  }
}
