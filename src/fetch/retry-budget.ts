import type { Clock } from "../kernel/index.ts";

/** Each request earns so much of another attempt. */
const earnedByRequest = 0.2;
/** A program that asks seldom may still repeat so often. */
const earnedBySecond = 10;
const savedMax = 100;

/**
 * What all requests of one client may spend on further attempts: a fifth of the requests, at least ten a second. When a
 * fleet is overloaded, repeating everything would keep it so (a retry storm); the first re-send after evidence that work is
 * dead is not charged, because it replaces that work instead of adding to it.
 */
export class RetryBudget {
  readonly #clock: Clock;
  #saved = earnedBySecond;
  #sinceMonoMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMonoMs = clock.monoMs();
  }

  earn(): void {
    this.#saved = Math.min(savedMax, this.#saved + earnedByRequest);
  }

  /** False when nothing is left. */
  take(): boolean {
    const nowMonoMs = this.#clock.monoMs();
    this.#saved = Math.min(savedMax, this.#saved + ((nowMonoMs - this.#sinceMonoMs) * earnedBySecond) / 1000);
    this.#sinceMonoMs = nowMonoMs;
    if (this.#saved < 1) return false;
    this.#saved--;
    return true;
  }
}
