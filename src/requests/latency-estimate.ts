/** Sixteen buckets an octave: a bucket's edge is at most 6 % off. */
const stepsPerOctave = 16;
const octaves = 32;
const bucketsMax = stepsPerOctave * octaves;
const windows = 3;
const windowMs = 10_000;
/** A window that saw fewer goes on: who asks rarely remembers longer. */
const windowSamplesMin = 8;
/** With fewer samples nothing is known. */
const samplesMin = 20;
/** What is left of the budget is for second copies, twins and requests that move. */
const hedgedShare = 0.8;
const budgetMax = 0.2;
const hedgeMsMin = 1;
const hedgeMsMax = 2000;

/**
 * How long the attempts of one type of request take, over the last 20 to 30 s: counts in logarithmic buckets of microseconds, in three windows.
 * Adding one costs a few stores. An attempt that was cancelled counts as at least as long as it had taken by then, so that slow ones
 * that lost against a copy do not vanish from the picture.
 */
export class LatencyEstimate {
  readonly #windows = Array.from({ length: windows }, () => new Uint32Array(bucketsMax));
  readonly #sum = new Uint32Array(bucketsMax);
  #current = 0;
  #currentSamples = 0;
  #count = 0;
  #rotateMonoMs = Number.NEGATIVE_INFINITY;
  #delayMs: number | undefined;
  /** At which count the delay is worked out anew. */
  #renewAt = samplesMin;

  /** Samples that are remembered. */
  get count(): number {
    return this.#count;
  }

  add(tookMs: number, nowMonoMs: number): void {
    if (nowMonoMs >= this.#rotateMonoMs) this.#rotate(nowMonoMs);
    const bucket = bucketOf(tookMs);
    const window = this.#windows[this.#current];
    if (window === undefined) return;
    window[bucket] = (window[bucket] ?? 0) + 1;
    this.#sum[bucket] = (this.#sum[bucket] ?? 0) + 1;
    this.#currentSamples++;
    this.#count++;
  }

  /** The time that this share of the attempts does not exceed; undefined when too little is known. */
  quantileMs(share: number): number | undefined {
    if (this.#count < samplesMin) return undefined;
    let left = Math.ceil(share * this.#count);
    for (let bucket = 0; bucket < bucketsMax; bucket++) {
      left -= this.#sum[bucket] ?? 0;
      if (left <= 0) return middleOf(bucket);
    }
    return undefined;
  }

  /**
   * After how long an attempt is called slow, when copies may add `budget` (a share) to the work: what most of that share exceeds (of 10 % the
   * slowest 8), but at most 3 × p50, because where one server of ten hangs every high quantile is as long as it hangs; and at least 2 × p50,
   * because a copy takes p50 itself. 1 ms … 2 s; undefined when too little is known.
   */
  hedgeMs(budget: number): number | undefined {
    if (this.#count >= this.#renewAt) {
      const median = this.quantileMs(0.5) ?? hedgeMsMax;
      const high = this.quantileMs(1 - hedgedShare * Math.min(budget, budgetMax)) ?? hedgeMsMax;
      this.#delayMs = Math.min(hedgeMsMax, Math.max(hedgeMsMin, 2 * median, Math.min(high, 3 * median)));
      this.#renewAt = this.#count + Math.max(samplesMin, this.#count >> 4);
    }
    return this.#count < samplesMin ? undefined : this.#delayMs;
  }

  #rotate(nowMonoMs: number): void {
    const isFirst = this.#rotateMonoMs === Number.NEGATIVE_INFINITY;
    this.#rotateMonoMs = nowMonoMs + windowMs;
    if (isFirst || this.#currentSamples < windowSamplesMin) return;
    this.#current = (this.#current + 1) % windows;
    this.#currentSamples = 0;
    const oldest = this.#windows[this.#current];
    if (oldest === undefined) return;
    for (let bucket = 0; bucket < bucketsMax; bucket++) {
      const forgotten = oldest[bucket] ?? 0;
      this.#sum[bucket] = (this.#sum[bucket] ?? 0) - forgotten;
      this.#count -= forgotten;
      oldest[bucket] = 0;
    }
    this.#renewAt = Math.max(samplesMin, this.#count);
  }
}

/** The first 32 microseconds have a bucket each, from there on the leading bit and the four that follow it choose. */
function bucketOf(ms: number): number {
  const us = Math.min(0x7fff_ffff, Math.max(0, Math.round(ms * 1000)));
  const shift = 27 - Math.clz32(us);
  return shift <= 0 ? us : shift * stepsPerOctave + (us >>> shift);
}

function middleOf(bucket: number): number {
  if (bucket < 2 * stepsPerOctave) return bucket / 1000;
  const shift = Math.floor(bucket / stepsPerOctave) - 1;
  const step = bucket - shift * stepsPerOctave;
  return ((step + 0.5) * 2 ** shift) / 1000;
}
