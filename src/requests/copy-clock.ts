import type { Clock, Timer } from "../kernel/index.ts";
import type { DueRing } from "./due-ring.ts";
import type { PendingRequest } from "./pending-table.ts";

/** What is due within it when the timer fires is due: a timer of the system counts whole milliseconds. */
const slackMs = 0.5;

interface Timetable {
  readonly ring: DueRing;
  readonly due: (request: PendingRequest, nowMonoMs: number) => void;
}

/**
 * When copies are due, for all requests of a program: one timer for the earliest of all. When it fires, what has arrived meanwhile is read
 * first: a program that was away for a moment sends no copies of requests whose answers lie at its door.
 */
export class CopyClock {
  readonly #clock: Clock;
  /** Those with something due; they leave when they are found empty. */
  readonly #busy = new Map<DueRing, Timetable>();
  #timer: Timer | undefined;
  #armedForMonoMs = Number.POSITIVE_INFINITY;
  #sweepScheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `due` is called once for the request, unless its ring calls it over by then. */
  watch(timetable: Timetable, request: PendingRequest, dueMonoMs: number, nowMonoMs: number): void {
    const { ring } = timetable;
    ring.add(request, dueMonoMs);
    if (!this.#busy.has(ring)) this.#busy.set(ring, timetable);
    if (dueMonoMs < this.#armedForMonoMs - slackMs) this.#arm(dueMonoMs, nowMonoMs);
  }

  /**
   * Whoever reads the clock anyway says so: a program that hears something all the time is more punctual by that than by its timer, which is
   * half a millisecond late on average and more than one now and then.
   */
  passed(nowMonoMs: number): void {
    if (nowMonoMs < this.#armedForMonoMs || this.#sweepScheduled) return;
    // What it was for may be over; then the timer finds out what is next.
    this.#armedForMonoMs = this.#earliest();
    if (nowMonoMs >= this.#armedForMonoMs) this.#sweepSoon();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedForMonoMs = Number.POSITIVE_INFINITY;
    for (const ring of this.#busy.keys()) ring.clear();
    this.#busy.clear();
  }

  #arm(dueMonoMs: number, nowMonoMs: number): void {
    this.#timer?.cancel();
    this.#armedForMonoMs = dueMonoMs;
    this.#timer = this.#clock.schedule(Math.max(0, dueMonoMs - nowMonoMs), () => this.#fire());
  }

  #fire(): void {
    const nowMonoMs = this.#clock.monoMs();
    if (this.#earliest() > nowMonoMs + slackMs) this.#next(nowMonoMs);
    else this.#sweepSoon();
  }

  #sweepSoon(): void {
    if (this.#sweepScheduled) return;
    this.#sweepScheduled = true;
    this.#clock.turn(() => {
      this.#sweepScheduled = false;
      if (this.#timer !== undefined) this.#sweep();
    });
  }

  #sweep(): void {
    const nowMonoMs = this.#clock.monoMs();
    for (const { ring, due } of [...this.#busy.values()])
      for (let request = ring.take(nowMonoMs + slackMs); request !== undefined; request = ring.take(nowMonoMs + slackMs))
        due(request, nowMonoMs);
    this.#next(nowMonoMs);
  }

  #next(nowMonoMs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedForMonoMs = Number.POSITIVE_INFINITY;
    const earliest = this.#earliest();
    if (earliest < Number.POSITIVE_INFINITY) this.#arm(earliest, nowMonoMs);
  }

  #earliest(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const ring of this.#busy.keys()) {
      const { nextMonoMs } = ring;
      if (nextMonoMs === Number.POSITIVE_INFINITY) this.#busy.delete(ring);
      else if (nextMonoMs < earliest) earliest = nextMonoMs;
    }
    return earliest;
  }
}
