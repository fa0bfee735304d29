import { describe } from "../describe.ts";
import { monoMs } from "../programs/parent.ts";
import type { Deed } from "../record.ts";
import type { Action, Knowledge, Step } from "../scenario.ts";
import { type Blow, type Strikes, describeStruck, strikeWaitMsMax } from "../strikes.ts";

export interface ScriptPorts {
  /** Does it and resolves when it is done. */
  act(action: Action): Promise<void>;
  /** Resolves at that instant of the machine's monotonic clock; rejects when the run is stopped. */
  until(atMs: number): Promise<void>;
  log(text: string): void;
}

const lookAgainMs = 20;

/** Takes the steps of a run at their times, strikes among them, and writes down what was done. */
export class Script {
  readonly deeds: Deed[] = [];
  /** How much later than planned the rest of the run is, because strikes had to wait. */
  lateMs = 0;
  readonly #strikes: Strikes;
  readonly #ports: ScriptPorts;
  readonly #zeroMs: number;
  /** In order of time, from the beginning of the run. */
  readonly #endings: { readonly atMs: number; readonly blow: Blow }[] = [];

  constructor(strikes: Strikes, zeroMs: number, ports: ScriptPorts) {
    this.#strikes = strikes;
    this.#zeroMs = zeroMs;
    this.#ports = ports;
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      let patienceMs = strikeWaitMsMax;
      await this.#until(step.atMs + this.lateMs);
      while (step.action.do === "strike" && !this.#strikes.isTime(step.action) && patienceMs > 0) {
        patienceMs -= lookAgainMs;
        this.lateMs += lookAgainMs;
        await this.#until(step.atMs + this.lateMs);
      }
      await this.#take(step);
    }
    await this.#until(Number.POSITIVE_INFINITY);
  }

  async #take({ action, known }: Step): Promise<void> {
    if (action.do !== "strike") return this.#do(action, known);
    const blow = this.#strikes.isTime(action) ? this.#strikes.begin(action) : undefined;
    if (blow === undefined) return undefined;
    this.#endings.push({ atMs: monoMs() - this.#zeroMs + action.forMs, blow });
    this.#endings.sort((a, b) => a.atMs - b.atMs);
    return this.#do(blow.first, known, blow);
  }

  /** Meanwhile strikes end at their times. */
  async #until(atMs: number): Promise<void> {
    for (let next = this.#endings[0]; next !== undefined && next.atMs <= atMs; next = this.#endings[0]) {
      this.#endings.shift();
      await this.#ports.until(this.#zeroMs + next.atMs);
      await this.#do(next.blow.last);
      this.#strikes.end(next.blow);
    }
    if (Number.isFinite(atMs)) await this.#ports.until(this.#zeroMs + atMs);
  }

  async #do(action: Action, known?: Knowledge, blow?: Blow): Promise<void> {
    const atMs = monoMs() - this.#zeroMs;
    await this.#ports.act(action);
    const struck = blow === undefined ? {} : { struck: blow.struck };
    this.deeds.push({ atMs, doneMs: monoMs() - this.#zeroMs, action, ...(known === undefined ? {} : { known }), ...struck });
    const aim = blow === undefined ? "" : ` (${describeStruck(blow.struck)})`;
    this.#ports.log(`${(atMs / 1000).toFixed(3).padStart(8)} s  ${describe(action)}${aim}`);
  }
}
