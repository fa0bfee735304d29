/** What one datagram weighs in the share that was lost. */
const weight = 1 / 8;
/** With more lost than this the link is the better way. From nothing lost that takes four in a row. */
const lostShareMax = 0.35;
/** Whoever was just proven to hear is given up sooner than who has heard for long. */
const lostShareAtFirst = 0.1;
const pauseMsMin = 1000;
const pauseMsMax = 60_000;

/**
 * Whether a server hears what is said by multicast on its network: not before it has said so, and not while too much is lost. Where
 * it does not, it is tried again after one second, two, four, up to a minute.
 */
export class Hearing {
  #isOn = false;
  #lostShare = 0;
  #pauseMs = pauseMsMin;
  #askMonoMs = Number.NEGATIVE_INFINITY;

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Whether it is time to find out; if so, the next time is later. */
  mayAsk(nowMonoMs: number): boolean {
    if (this.#isOn || nowMonoMs < this.#askMonoMs) return false;
    this.#wait(nowMonoMs);
    return true;
  }

  /** It has heard a call. */
  confirmed(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    this.#lostShare = lostShareAtFirst;
  }

  arrived(): void {
    this.#lostShare *= 1 - weight;
    if (this.#lostShare < lostShareAtFirst / 2) this.#pauseMs = pauseMsMin;
  }

  missed(nowMonoMs: number): void {
    this.#lostShare += (1 - this.#lostShare) * weight;
    if (this.#lostShare <= lostShareMax || !this.#isOn) return;
    this.#isOn = false;
    this.#wait(nowMonoMs);
  }

  #wait(nowMonoMs: number): void {
    this.#askMonoMs = nowMonoMs + this.#pauseMs;
    this.#pauseMs = Math.min(pauseMsMax, this.#pauseMs * 2);
  }
}
