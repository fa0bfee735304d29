import { MusterError } from "../../src/kernel/index.ts";
import type { FailedRequest, LoadReport, TallyOptions } from "./tally.ts";
import { LoadTally } from "./tally.ts";

/** One request; resolves when it was answered. */
export type Ask = () => Promise<unknown>;

export interface LoadPorts {
  nowMs(): number;
  every(periodMs: number, run: () => void): () => void;
  after(delayMs: number, run: () => void): void;
}

/** Requests that one caller may have open; what would be beyond is a failed one. */
const openMax = 20_000;

/**
 * Asks at a steady rate, whether or not earlier requests are answered (an open loop: a stuck server does not make its
 * callers ask less). A caller that was late makes up for it.
 */
export class Load {
  #tally: LoadTally;
  readonly #ask: Ask;
  readonly #ports: LoadPorts;
  readonly #firstFailure: (failure: FailedRequest) => void;
  #stop: () => void = () => {};

  constructor(caller: string, ask: Ask, ports: LoadPorts, firstFailure: (failure: FailedRequest) => void, options?: TallyOptions) {
    this.#tally = new LoadTally(caller, options);
    this.#ask = ask;
    this.#ports = ports;
    this.#firstFailure = firstFailure;
  }

  /** Requests sent before `countFromMs` are not counted: they run with cold code. */
  begin(requestsPerSecond: number, countFromMs: number): void {
    const begunMs = this.#ports.nowMs();
    const counted = this.#tally;
    this.#tally = new LoadTally("warming up");
    let sent = 0;
    this.#stop = this.#ports.every(Math.max(1, 1000 / requestsPerSecond), () => {
      if (this.#tally !== counted && this.#ports.nowMs() >= countFromMs) this.#tally = counted;
      const due = Math.floor(((this.#ports.nowMs() - begunMs) * requestsPerSecond) / 1000) - sent;
      sent += due;
      for (let one = 0; one < due; one++) this.#request();
    });
  }

  /** Asks no more, and resolves when nothing is open, at the latest after `patienceMs`. */
  async end(patienceMs: number): Promise<LoadReport> {
    this.#stop();
    const endMs = this.#ports.nowMs() + patienceMs;
    while (this.#tally.open > 0 && this.#ports.nowMs() < endMs) await new Promise<void>((resolve) => this.#ports.after(10, resolve));
    return this.#tally.report(this.#ports.nowMs());
  }

  #request(): void {
    const sentMs = this.#ports.nowMs();
    const tally = this.#tally;
    tally.sent(sentMs);
    if (tally.open > openMax) this.#failed(tally, sentMs, new Error(`${openMax} requests are open`));
    else
      this.#ask().then(
        () => tally.answered(sentMs, this.#ports.nowMs()),
        (thrown: unknown) => this.#failed(tally, sentMs, thrown),
      );
  }

  #failed(tally: LoadTally, sentMs: number, thrown: unknown): void {
    const failedMs = this.#ports.nowMs();
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const code = codeOf(thrown);
    if (tally.failed(sentMs, failedMs, code, message)) this.#firstFailure({ sentMs, failedMs, code, message });
  }
}

function codeOf(thrown: unknown): string {
  if (thrown instanceof MusterError) return thrown.code;
  if (thrown instanceof Error) return "code" in thrown ? String(thrown.code) : thrown.name;
  return "unknown";
}
