import type { Clock, Random, Timer } from "../../../src/kernel/index.ts";
import { SeededRandom } from "../../../src/kernel/index.ts";
import type { SimWorld } from "./sim-world.ts";

/**
 * One simulated process: its clock (with an offset, a drift and jumps of its own), its randomness, and its fate. While it
 * is paused its timers and its input wait; when it goes on, expired timers run before buffered input, as in Node. After a
 * crash nothing that it had scheduled runs any more.
 */
export class SimMachine implements Clock {
  readonly name: string;
  readonly world: SimWorld;
  readonly random: Random;
  readonly #drift: number;
  readonly #offsetMs: number;
  #wallJumpMs = 0;
  #alive = true;
  #paused = false;
  #late: (() => void)[] = [];
  #input: (() => void)[] = [];
  readonly #crashed: (() => void)[] = [];

  /** `drift` 0.1: its clock runs 10 % fast. */
  constructor(world: SimWorld, name: string, options: { readonly drift?: number } = {}) {
    this.world = world;
    this.name = name;
    this.#drift = 1 + (options.drift ?? 0);
    this.#offsetMs = Math.floor(world.random.fraction() * 1e6);
    this.random = new SeededRandom(Math.floor(world.random.fraction() * 0x1_0000_0000));
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  monoMs(): number {
    return this.#offsetMs + this.world.nowMs * this.#drift;
  }

  unixMs(): number {
    return 1_800_000_000_000 + this.monoMs() + this.#wallJumpMs;
  }

  /** The wall clock jumps, by ± hours if you like; nothing of the roll may depend on it. */
  jump(byMs: number): void {
    this.#wallJumpMs += byMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return this.world.after(delayMs / this.#drift, () => this.#timer(callback));
  }

  turn(callback: () => void): void {
    this.world.after(0, () => this.#timer(callback));
  }

  #timer(callback: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#late.push(callback);
    else callback();
  }

  /** Something arrives from outside: it waits while the process is paused and is lost when it is dead. */
  input(callback: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#input.push(callback);
    else callback();
  }

  pause(): void {
    this.#paused = this.#alive;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const late = this.#late.splice(0);
    const input = this.#input.splice(0);
    for (const callback of [...late, ...input])
      this.world.after(0, () => {
        if (!this.#alive) return;
        // Paused again meanwhile: what has not run waits on.
        if (this.#paused) this.#late.push(callback);
        else callback();
      });
  }

  /** Called once, when the machine crashes: the network cuts its connections, the disk forgets what was not durable. */
  onCrash(callback: () => void): void {
    this.#crashed.push(callback);
  }

  crash(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#paused = false;
    this.#late = [];
    this.#input = [];
    for (const callback of this.#crashed.splice(0)) callback();
  }
}
