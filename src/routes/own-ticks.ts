import { type Clock, type Random, type Timer, jitter } from "../kernel/index.ts";
import type { ProbePeriods } from "./options.ts";

export interface TickPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly periods: ProbePeriods;
  /** Sends; called at once. */
  readonly beat: (kind: TickKind) => void;
  /** Judges the time before the beat; called when all input that had arrived was read, and never for a late tick. */
  readonly judge: (kind: TickKind) => void;
  /** The tick came more than one period late: nothing from before it counts. */
  readonly late: () => void;
  /** Whether quick ticks are wanted. */
  readonly hurried: () => boolean;
}

export type TickKind = "tick" | "burst-tick";

const spread = 0.05;

/** The node's own ticks, every `probeMs`, and quick ones while a burst is under way. */
export class OwnTicks {
  readonly #ports: TickPorts;
  #timer: Timer | undefined;
  #burst: Timer | undefined;
  #lastMonoMs = 0;
  #number = 0;
  /** Judgements of an earlier generation do not happen. */
  #generation = 0;

  constructor(ports: TickPorts) {
    this.#ports = ports;
  }

  get number(): number {
    return this.#number;
  }

  start(): void {
    const { clock, random, periods } = this.#ports;
    this.#lastMonoMs = clock.monoMs();
    this.#arm(periods.probeMs * random.fraction());
  }

  close(): void {
    this.#generation++;
    this.#timer?.cancel();
    this.#burst?.cancel();
    this.#burst = undefined;
  }

  /** Begins quick ticks, if there are none. */
  hurry(): void {
    if (this.#burst !== undefined) return;
    const { clock, periods } = this.#ports;
    this.#burst = clock.schedule(periods.burstMs, () => {
      this.#burst = undefined;
      this.#happen("burst-tick", this.#notice());
      if (this.#ports.hurried()) this.hurry();
    });
  }

  #arm(delayMs: number): void {
    this.#timer = this.#ports.clock.schedule(delayMs, () => {
      const late = this.#notice();
      this.#lastMonoMs = this.#ports.clock.monoMs();
      this.#number++;
      this.#arm(jitter(this.#ports.random, this.#ports.periods.probeMs, spread));
      this.#happen("tick", late);
    });
  }

  /** Whichever timer fires first after a pause sees it. */
  #notice(): boolean {
    const { clock, periods } = this.#ports;
    const now = clock.monoMs();
    if (now - this.#lastMonoMs <= 2 * periods.probeMs) return false;
    this.#lastMonoMs = now;
    this.#generation++;
    this.#ports.late();
    return true;
  }

  #happen(kind: TickKind, late: boolean): void {
    const { clock } = this.#ports;
    const generation = this.#generation;
    this.#ports.beat(kind);
    if (late) return;
    clock.turn(() => clock.turn(() => generation === this.#generation && this.#ports.judge(kind)));
  }
}
