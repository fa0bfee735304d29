import { type Clock, type Random, type Timer, jitter } from "../kernel/index.ts";
import { ticks } from "./options.ts";

export interface OwnTicksPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Says and repeats; called at once. */
  readonly beat: (tick: number) => void;
  /** Judges the others' silence; called when all input that had arrived was read, and neither at a late tick nor at the few after it. */
  readonly judge: () => void;
  /** Called when all input that had arrived was read, after each tick in time. */
  readonly inTime: () => void;
  /** The tick came more than one period late; `isAway`: so late that this member may have been left out meanwhile. */
  readonly late: (isAway: boolean) => void;
}

const spread = 0.05;

/**
 * A member's one timer. Whatever takes time is a number of these ticks, and the time in which a member was itself away is none: then it
 * first hears for some ticks what the others said meanwhile. What it had counted before stays: who stumbles now and then still notices
 * who is silent.
 */
export class OwnTicks {
  readonly #ports: OwnTicksPorts;
  readonly #tickMs: number;
  #timer: Timer | undefined;
  #lastMonoMs = 0;
  #number = 0;
  #generation = 0;
  /** So many ticks in time go by before the next one is judged. */
  #grace = 0;

  constructor(ports: OwnTicksPorts, tickMs: number) {
    this.#ports = ports;
    this.#tickMs = tickMs;
  }

  /** The next tick is more than one period late already. */
  get #isLate(): boolean {
    return this.#ports.clock.monoMs() - this.#lastMonoMs > 2 * this.#tickMs;
  }

  /** The next tick is so late that this member may have been left out meanwhile. */
  get isAway(): boolean {
    return this.#ports.clock.monoMs() - this.#lastMonoMs > (1 + ticks.away) * this.#tickMs;
  }

  start(): void {
    this.#lastMonoMs = this.#ports.clock.monoMs();
    this.#arm();
  }

  close(): void {
    this.#generation++;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const { clock, random } = this.#ports;
    this.#timer = clock.schedule(jitter(random, this.#tickMs, spread), () => this.#happen());
  }

  #happen(): void {
    const { clock } = this.#ports;
    const now = clock.monoMs();
    const { isAway } = this;
    const isLate = this.#isLate;
    this.#lastMonoMs = now;
    this.#number++;
    if (isLate) {
      this.#generation++;
      this.#grace = ticks.lateGrace;
      this.#ports.late(isAway);
    }
    const generation = this.#generation;
    this.#arm();
    this.#ports.beat(this.#number);
    if (isLate) return;
    const mayJudge = this.#grace === 0;
    if (!mayJudge) this.#grace--;
    const read = (): void => {
      if (generation !== this.#generation) return;
      this.#ports.inTime();
      if (mayJudge) this.#ports.judge();
    };
    // After a pause timers fire before input that has arrived is read.
    clock.turn(() => clock.turn(read));
  }
}
