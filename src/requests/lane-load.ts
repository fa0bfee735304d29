/** What a server told of its work counts half after so long. */
const toldHalfMs = 100;
/** A peak of latency fades with this time constant. */
const fadeMs = 10_000;
/** Differences below it are the weather, not the server. */
const latencyMsMin = 1;
/** Nothing takes no time: 0 stands for what is not known. */
const leastMs = 0.001;
/** Attempts that lose together are one loss: a pause of a few milliseconds is no reason to leave a server. */
const lossMs = 10;
/** What is usual counts the last so many answers, more or less. */
const usualAnswers = 16;
/** So many requests at a time are no load: below it nothing is made of how many there are. */
const noLoad = 4;
/** What failed at once counts as if it had taken so many times as long as answers of the others take … */
const failedFactor = 8;
/** … and at least so long: nobody is to win requests by failing them quickly. */
const failedMsMin = 50;
/** Whose last answer was a failure is so many times as dear. */
const failingFactor = 4;
/** So many attempts in a row that failed, or that a later copy has beaten, are no chance. */
const failuresMax = 5;

/** Of other servers, in milliseconds; 0 where nobody knows. */
export interface UsualTimes {
  readonly answersMs: number;
  /** The same with the latest peaks. */
  readonly peakMs: number;
}

/**
 * How much work a server has and how long it takes, as far as its answers tell: what the choice between two servers is made by.
 * The latency is a peak-sensitive moving average (as in Finagle): it jumps up at once and comes down over ten seconds.
 */
export class LaneLoad {
  #latencyMs = 0;
  #latencyMonoMs = 0;
  #usualMs = 0;
  /** The same without what has failed. */
  #answersMs = 0;
  #usualLoad = 0;
  #others = 0;
  #othersMonoMs = 0;
  #failures = 0;
  #isFailing = false;
  #lostMonoMs = Number.NEGATIVE_INFINITY;

  /** An attempt was answered. `underWay`: what the server told; `own`: how many of them are this program's. */
  answered(tookMs: number, underWay: number, own: number, nowMonoMs: number): void {
    this.#failures = 0;
    this.#isFailing = false;
    this.#others = underWay > own ? underWay - own : 0;
    this.#othersMonoMs = nowMonoMs;
    this.#answersMs += ((tookMs > leastMs ? tookMs : leastMs) - this.#answersMs) * (this.#answersMs === 0 ? 1 : 1 / usualAnswers);
    this.#took(tookMs, tookMs, own, nowMonoMs);
  }

  /** Its handler has answered with an error of its own: an answer, but no quicker one than those of others. */
  erred(tookMs: number, others: UsualTimes, own: number, nowMonoMs: number): void {
    this.#failures = 0;
    this.#isFailing = false;
    this.#took(Math.max(tookMs, others.answersMs), Math.max(tookMs, others.peakMs), own, nowMonoMs);
  }

  #took(tookMs: number, peakMs: number, own: number, nowMonoMs: number): void {
    const forMs = nowMonoMs - this.#latencyMonoMs;
    const before = this.#latencyMs / (1 + forMs / fadeMs);
    this.#latencyMs = peakMs >= before ? peakMs : before + (peakMs - before) * (forMs / (fadeMs + forMs));
    this.#latencyMonoMs = nowMonoMs;
    const load = own + this.#others;
    const share = this.#usualMs === 0 ? 1 : 1 / usualAnswers;
    this.#usualMs += ((tookMs > leastMs ? tookMs : leastMs) - this.#usualMs) * share;
    this.#usualLoad += (load - this.#usualLoad) * share;
  }

  /** The last that it answered with was a failure. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** What its answers take, as a rule; 0 while there was none. */
  get answersMs(): number {
    return this.#answersMs;
  }

  /** The latest peak, as far as it has not faded. */
  peakMs(nowMonoMs: number): number {
    return this.#latencyMs / (1 + (nowMonoMs - this.#latencyMonoMs) / fadeMs);
  }

  /** An attempt takes at least so long. */
  isSlow(forMs: number, nowMonoMs: number): void {
    if (forMs <= this.peakMs(nowMonoMs)) return;
    this.#latencyMs = forMs;
    this.#latencyMonoMs = nowMonoMs;
  }

  /** An attempt was beaten by one that began later. True when there were too many of them in a row. */
  lost(nowMonoMs: number): boolean {
    if (nowMonoMs - this.#lostMonoMs < lossMs) return false;
    this.#lostMonoMs = nowMonoMs;
    this.#failures++;
    if (this.#failures < failuresMax) return false;
    this.#failures = 0;
    return true;
  }

  /** The same of one whose handler has failed, which counts as an answer much slower than those of others. */
  failed(tookMs: number, { answersMs, peakMs: othersPeakMs }: UsualTimes, own: number, nowMonoMs: number): boolean {
    const usualMs = Math.max(tookMs, failedFactor * answersMs, failedMsMin);
    this.#took(usualMs, Math.max(tookMs, answersMs, othersPeakMs), own, nowMonoMs);
    this.#isFailing = true;
    this.#failures++;
    // From then on each is one too many, until something is answered.
    return this.#failures >= failuresMax;
  }

  /**
   * How long one more request would take: what is usual, by as much more or less as there is more or less to do there than usual. Smoother than
   * `cost`: a single slow answer says nothing about where to stay. 0 while nothing is known and nobody is finding out, then Infinity.
   */
  expectedMs(own: number, nowMonoMs: number): number {
    if (this.#usualMs === 0) return own === 0 ? 0 : Number.POSITIVE_INFINITY;
    const others = this.#others === 0 ? 0 : this.#others / (1 + (nowMonoMs - this.#othersMonoMs) / toldHalfMs);
    return (this.#usualMs * (own + others + noLoad)) / (this.#usualLoad + noLoad);
  }

  /** What one more request would wait, roughly; only good for comparing. `own`: requests of this program that are there. */
  cost(own: number, nowMonoMs: number): number {
    const others = this.#others === 0 ? 0 : this.#others / (1 + (nowMonoMs - this.#othersMonoMs) / toldHalfMs);
    const latencyMs = this.peakMs(nowMonoMs);
    const factor = this.#isFailing ? failingFactor : 1;
    return factor * (own + others + 1) * (latencyMs > latencyMsMin ? latencyMs : latencyMsMin);
  }
}
