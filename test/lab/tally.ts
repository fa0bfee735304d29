import type { WorkKind } from "./histories/work.ts";

/** What one caller saw. Times are those of the clock that the tally is fed with. */
export interface LoadReport {
  readonly caller: string;
  /** Where a caller asks for several kinds of work, each has a report. */
  readonly work?: WorkKind;
  readonly sent: number;
  readonly answered: number;
  readonly failed: number;
  /** Neither answered nor failed when the report was made. */
  readonly open: number;
  /** The first hundred. */
  readonly failures: readonly FailedRequest[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly slowest: { readonly sentMs: number; readonly tookMs: number };
  /** The longest time between two answers, while requests were open. */
  readonly longestGap: Gap;
  /** The hundred longest above `gapMsMin`, in order of time. */
  readonly gaps: readonly Gap[];
  /** One for each second from the first request on. */
  readonly seconds: readonly LoadSecond[];
  /** In the order in which they came, where the load keeps them. */
  readonly answers?: readonly Answer[];
}

export interface Answer {
  readonly sentMs: number;
  readonly tookMs: number;
}

export interface TallyOptions {
  readonly work?: WorkKind;
  readonly keepsAnswers?: boolean;
}

export interface FailedRequest {
  readonly sentMs: number;
  readonly failedMs: number;
  readonly code: string;
  readonly message: string;
}

export interface Gap {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface LoadSecond {
  readonly fromMs: number;
  answered: number;
  failed: number;
  slowestMs: number;
}

const failuresMax = 100;
const gapsMax = 100;
const gapMsMin = 25;

/** Counts what becomes of requests; keeps 8 bytes for each answer, or all that there is to know of it. */
export class LoadTally {
  readonly #caller: string;
  readonly #options: TallyOptions;
  readonly #failures: FailedRequest[] = [];
  readonly #seconds: LoadSecond[] = [];
  readonly #took: number[] = [];
  readonly #answers: Answer[] = [];
  #gaps: Gap[] = [];
  #longest: Gap = { fromMs: 0, toMs: 0 };
  #slowest = { sentMs: 0, tookMs: 0 };
  #begunMs: number | undefined;
  #lastAnswerMs = 0;
  #sent = 0;
  #failed = 0;

  constructor(caller: string, options: TallyOptions = {}) {
    this.#caller = caller;
    this.#options = options;
  }

  get open(): number {
    return this.#sent - this.#failed - this.#took.length;
  }

  sent(atMs: number): void {
    this.#begunMs ??= atMs;
    // A caller that asked for nothing was not kept waiting.
    if (this.open === 0) this.#lastAnswerMs = atMs;
    this.#sent++;
  }

  answered(sentMs: number, atMs: number): void {
    const tookMs = atMs - sentMs;
    this.#took.push(tookMs);
    if (this.#options.keepsAnswers === true) this.#answers.push({ sentMs, tookMs });
    if (tookMs > this.#slowest.tookMs) this.#slowest = { sentMs, tookMs };
    const second = this.#second(atMs);
    second.answered++;
    second.slowestMs = Math.max(second.slowestMs, tookMs);
    this.#gap({ fromMs: this.#lastAnswerMs, toMs: atMs });
    this.#lastAnswerMs = atMs;
  }

  /** True for the first. */
  failed(sentMs: number, failedMs: number, code: string, message: string): boolean {
    this.#failed++;
    this.#second(failedMs).failed++;
    if (this.#failures.length < failuresMax) this.#failures.push({ sentMs, failedMs, code, message });
    return this.#failed === 1;
  }

  /** `atMs`: the end of the run; a caller that still waits has waited until then. */
  report(atMs: number): LoadReport {
    if (this.open > 0) this.#gap({ fromMs: this.#lastAnswerMs, toMs: atMs });
    const { work, keepsAnswers } = this.#options;
    const took = Float64Array.from(this.#took).toSorted();
    const part = (share: number) => quantile(took, share);
    return {
      caller: this.#caller,
      ...(work === undefined ? {} : { work }),
      ...(keepsAnswers === true ? { answers: this.#answers } : {}),
      sent: this.#sent,
      answered: took.length,
      failed: this.#failed,
      open: this.open,
      failures: this.#failures,
      p50Ms: part(0.5),
      p99Ms: part(0.99),
      p999Ms: part(0.999),
      slowest: this.#slowest,
      longestGap: this.#longest,
      gaps: this.#gaps.toSorted((a, b) => a.fromMs - b.fromMs),
      seconds: this.#seconds,
    };
  }

  #second(atMs: number): LoadSecond {
    const begunMs = this.#begunMs ?? atMs;
    const index = Math.max(0, Math.floor((atMs - begunMs) / 1000));
    while (this.#seconds.length <= index)
      this.#seconds.push({ fromMs: begunMs + this.#seconds.length * 1000, answered: 0, failed: 0, slowestMs: 0 });
    const second = this.#seconds[index];
    if (second === undefined) throw new Error("a second is missing");
    return second;
  }

  #gap(gap: Gap): void {
    const lengthMs = gap.toMs - gap.fromMs;
    if (lengthMs > this.#longest.toMs - this.#longest.fromMs) this.#longest = gap;
    if (lengthMs < gapMsMin) return;
    this.#gaps.push(gap);
    if (this.#gaps.length > 2 * gapsMax)
      this.#gaps = this.#gaps.toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs)).slice(0, gapsMax);
  }
}

/** Of values in ascending order; 0 when there are none. */
export function quantile(ascending: ArrayLike<number>, share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? 0;
}

/** The same report with times that count from `zeroMs`. */
export function reportFrom(report: LoadReport, zeroMs: number): LoadReport {
  const gap = ({ fromMs, toMs }: Gap): Gap => ({ fromMs: fromMs - zeroMs, toMs: toMs - zeroMs });
  return {
    ...report,
    failures: report.failures.map((failure) => ({ ...failure, sentMs: failure.sentMs - zeroMs, failedMs: failure.failedMs - zeroMs })),
    slowest: { ...report.slowest, sentMs: report.slowest.sentMs - zeroMs },
    longestGap: gap(report.longestGap),
    gaps: report.gaps.map(gap),
    seconds: report.seconds.map((second) => ({ ...second, fromMs: second.fromMs - zeroMs })),
    ...(report.answers === undefined ? {} : { answers: report.answers.map(({ sentMs, tookMs }) => ({ sentMs: sentMs - zeroMs, tookMs })) }),
  };
}
