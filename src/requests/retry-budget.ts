/**
 * What copies of one type may cost, and re-sends that are not free: a share of its first attempts, saved up to `burst`. While everything
 * fails, a fleet gets at most `1 + share` times its load; without it, one more each time (a retry storm). Because no more than `burst` is
 * ever saved, the same bound holds over every span of time, however long nobody asked before; so what was saved need not expire.
 */
export class RetryBudget {
  /** What a first attempt adds. */
  share: number;
  readonly #burst: number;
  #saved: number;

  constructor(share: number, burst: number) {
    this.share = share;
    this.#burst = burst;
    this.#saved = burst;
  }

  get saved(): number {
    return this.#saved;
  }

  /** A first attempt was made. */
  earn(): void {
    const saved = this.#saved + this.share;
    this.#saved = saved > this.#burst ? this.#burst : saved;
  }

  /** False when nothing is left, or no more than `keep`, a share of what can be saved. */
  take(keep = 0): boolean {
    if (this.#saved < 1 + keep * this.#burst) return false;
    this.#saved--;
    return true;
  }
}
