import { type Clock, type Random, type Timer, jitter } from "../kernel/index.ts";
import type { Check } from "./check.ts";
import type { CheckRunner } from "./check-runner.ts";
import { type CheckState, type CheckThresholds, checkUnknown, defaultThresholds, stepCheck } from "./check-step.ts";

export interface CheckLoopOptions {
  /** Asked before each look, because a host's current route may change; undefined: there is nothing to look at, with the reason. */
  readonly check: () => Check | string;
  /** Time between the starts of two looks, jittered by 10 %. A look gets as long, at most 10 s. */
  readonly everyMs: number;
  readonly thresholds?: CheckThresholds;
  /** The verdict has turned. Awaited before the next look; a rejection is tried again after the next look. */
  readonly turned: (verdict: "healthy" | "failed", reason: string) => Promise<void>;
  /** False when somebody else has changed what the roll says: it is then told again. Default: nobody does. */
  readonly agrees?: (verdict: "healthy" | "failed") => boolean;
}

export interface CheckLoopPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly runner: CheckRunner;
}

const timeoutMsMax = 10_000;

/** Looks at one program again and again and tells when the verdict turns. */
export class CheckLoop {
  readonly #options: CheckLoopOptions;
  readonly #ports: CheckLoopPorts;
  readonly #stop = new AbortController();
  #state: CheckState = checkUnknown;
  /** What the roll was told last. */
  #told: "healthy" | "failed" | undefined;
  #timer: Timer | undefined;

  constructor(options: CheckLoopOptions, ports: CheckLoopPorts) {
    this.#options = options;
    this.#ports = ports;
    void this.#look();
  }

  get state(): CheckState {
    return this.#state;
  }

  /** After it returns nothing more is told. Idempotent. */
  close(): void {
    this.#stop.abort();
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { clock, random, runner } = this.#ports;
    const { everyMs, thresholds = defaultThresholds, turned, agrees = () => true } = this.#options;
    const startedMs = clock.monoMs();
    const check = this.#options.check();
    const result =
      typeof check === "string"
        ? { healthy: false, reason: check }
        : await runner.run(check, Math.min(everyMs, timeoutMsMax), this.#stop.signal);
    if (this.#stop.signal.aborted) return;
    this.#state = stepCheck(this.#state, result, thresholds).state;
    const { verdict, reason } = this.#state;
    if (verdict !== "unknown" && (verdict !== this.#told || !agrees(verdict))) {
      const told = await turned(verdict, reason).then(
        () => true,
        () => false,
      );
      if (told) this.#told = verdict;
    }
    if (this.#stop.signal.aborted) return;
    const spentMs = clock.monoMs() - startedMs;
    this.#timer = clock.schedule(Math.max(1, jitter(random, everyMs, 0.1) - spentMs), () => void this.#look());
  }
}
