import { type Clock, type Random, type Timer, assert } from "../kernel/index.ts";
import type { SimLife } from "./sim-node.ts";
import type { SimEvent } from "./sim-world.ts";

/** Keeps a deadline computed in floating point from being missed by its own timer. */
const graceMs = 1e-6;

/** The clock of one life: its own rate, its own idea of wall time, timers that wait while the node stands still. */
export class SimClock implements Clock {
  readonly #life: SimLife;
  readonly #rate: number;
  readonly #timerLatenessMs: number;
  /** True time and monotonic time at which this stretch began. */
  #sinceMs: number;
  #sinceMonoMs: number;
  #stopped = false;
  #wallOffsetMs: number;

  constructor(
    life: SimLife,
    options: { readonly rate: number; readonly wallOffsetMs: number; readonly timerLatenessMs: number; readonly random: Random },
  ) {
    assert(options.rate > 0, "a clock does not run backwards");
    this.#life = life;
    this.#rate = options.rate;
    this.#timerLatenessMs = options.timerLatenessMs;
    this.#sinceMs = life.node.world.nowMs;
    this.#sinceMonoMs = Math.floor(options.random.fraction() * 1e9);
    this.#wallOffsetMs = options.wallOffsetMs;
  }

  /** How fast it runs: 1.1 gains 10 %. */
  get rate(): number {
    return this.#rate;
  }

  get wallOffsetMs(): number {
    return this.#wallOffsetMs;
  }

  monoMs(): number {
    return this.#stopped ? this.#sinceMonoMs : this.#sinceMonoMs + (this.#life.world.nowMs - this.#sinceMs) * this.#rate;
  }

  /** Wall time gains and loses with the node's rate from the beginning of the world on. */
  unixMs(): number {
    const { world } = this.#life;
    return Math.floor(world.startUnixMs + world.nowMs * this.#rate + this.#wallOffsetMs);
  }

  /** Somebody sets the wall clock: forwards or (negative) backwards. */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const dueMonoMs = this.monoMs() + Math.max(0, Number.isFinite(delayMs) ? delayMs : 0);
    return new SimTimer(this.#life, this, dueMonoMs, callback);
  }

  turn(callback: () => void): void {
    if (this.#life.alive) this.#life.plan(this.#life.world.nowMs, "turn", callback);
  }

  /** True time at which the clock will show that monotonic time, if it does not stand still until then. */
  trueMs(monoMs: number): number {
    const late = this.#timerLatenessMs === 0 ? 0 : this.#timerLatenessMs * this.#life.world.random.fraction();
    return this.#life.world.nowMs + Math.max(0, monoMs - this.monoMs()) / this.#rate + graceMs + late;
  }

  stop(): void {
    if (this.#stopped) return;
    this.#sinceMonoMs = this.monoMs();
    this.#stopped = true;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#sinceMs = this.#life.world.nowMs;
  }
}

class SimTimer implements Timer {
  readonly #life: SimLife;
  readonly #clock: SimClock;
  readonly #dueMonoMs: number;
  readonly #callback: () => void;
  #event: SimEvent | undefined;

  constructor(life: SimLife, clock: SimClock, dueMonoMs: number, callback: () => void) {
    this.#life = life;
    this.#clock = clock;
    this.#dueMonoMs = dueMonoMs;
    this.#callback = callback;
    if (life.alive) this.#arm();
  }

  cancel(): void {
    if (this.#event !== undefined) this.#life.world.cancel(this.#event);
    this.#event = undefined;
  }

  #arm(): void {
    this.#event = this.#life.plan(this.#clock.trueMs(this.#dueMonoMs), "timer", () => {
      // The node was suspended meanwhile: by its own clock the time has not come.
      if (this.#clock.monoMs() < this.#dueMonoMs) {
        this.#arm();
        return;
      }
      this.#event = undefined;
      this.#callback();
    });
  }
}
