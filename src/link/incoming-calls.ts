import { type Clock, MusterError } from "../kernel/index.ts";
import { writeAnswer, writeFail } from "../wire/index.ts";
import { DeadlineSweep } from "./deadline-sweep.ts";
import { answersNotRead, cancelled, deadlineError, tellable, tooManyCalls, unexpectedFrame, wireForm } from "./errors.ts";
import type { LinkHandlers, LinkLimits } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import { ServedCall } from "./served-call.ts";

/** Told of what a handler threw, before the peer is told a part of it. */
export type Report = (thrown: unknown, where: string) => void;

/** The peer's calls: from the frame to the one answer that each of them gets. */
export class IncomingCalls {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #limits: LinkLimits;
  readonly #report: Report;
  /**
   * Those whose handler promised an answer. An abandoned one counts until its handler has really ended: a peer cannot pile
   * up work by giving up.
   */
  readonly #running = new Map<number, ServedCall>();
  readonly #sweep: DeadlineSweep;

  constructor(outbox: Outbox, clock: Clock, limits: LinkLimits, report: Report) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#limits = limits;
    this.#report = report;
    this.#sweep = new DeadlineSweep(clock, (nowMonoMs) => this.#expire(nowMonoMs));
  }

  /** Throws `link/unexpected-frame` when a call with this id is still being worked on. */
  serve(handlers: LinkHandlers, id: number, timeoutMs: number, method: number, body: Uint8Array): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) {
      this.#fail(id, refusal);
      return;
    }
    const call = new ServedCall(id, method, timeoutMs === 0 ? undefined : this.#clock.monoMs() + timeoutMs);
    let result: Uint8Array | Promise<Uint8Array>;
    try {
      result = handlers.call(method, body, call);
    } catch (thrown) {
      this.#failed(call, thrown);
      return;
    }
    if (result instanceof Uint8Array) this.#answer(call, result);
    else this.#await(call, result);
  }

  cancel(id: number): void {
    this.#running.get(id)?.abandon(cancelled());
  }

  /** The link has ended: handlers learn that nobody waits. */
  end(reason: MusterError): void {
    this.#sweep.stop();
    for (const call of this.#running.values()) call.abandon(reason);
  }

  #refusal(): MusterError | undefined {
    const { callsMax, answersBufferedBytesMax } = this.#limits;
    if (this.#running.size >= callsMax) return tooManyCalls(callsMax);
    const { bufferedBytes } = this.#outbox;
    return bufferedBytes > answersBufferedBytesMax ? answersNotRead(bufferedBytes) : undefined;
  }

  #await(call: ServedCall, promise: Promise<Uint8Array>): void {
    if (this.#running.has(call.id)) throw unexpectedFrame(`it calls with the id ${call.id} twice`);
    this.#running.set(call.id, call);
    if (call.deadlineMonoMs !== undefined) this.#sweep.watch(call.deadlineMonoMs);
    promise.then(
      (answer) => {
        this.#running.delete(call.id);
        if (!call.isAbandoned) this.#answer(call, answer);
      },
      (thrown: unknown) => {
        this.#running.delete(call.id);
        if (!call.isAbandoned) this.#failed(call, thrown);
      },
    );
  }

  #answer(call: ServedCall, answer: Uint8Array): void {
    if (this.#outbox.isClosed) return;
    try {
      writeAnswer(this.#outbox.writer, call.id, answer);
    } catch (thrown) {
      this.#failed(call, thrown);
      return;
    }
    this.#outbox.schedule();
  }

  #failed(call: ServedCall, thrown: unknown): void {
    const error = tellable(thrown);
    if (!(thrown instanceof MusterError)) this.#report(thrown, `method ${call.method}`);
    this.#fail(call.id, error);
  }

  #fail(id: number, error: MusterError): void {
    if (this.#outbox.isClosed) return;
    writeFail(this.#outbox.writer, id, wireForm(error));
    this.#outbox.schedule();
  }

  #expire(nowMonoMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const call of this.#running.values()) {
      const { deadlineMonoMs } = call;
      if (deadlineMonoMs === undefined || call.isAbandoned) continue;
      if (deadlineMonoMs <= nowMonoMs) call.abandon(deadlineError("maybe"));
      else if (deadlineMonoMs < earliest) earliest = deadlineMonoMs;
    }
    return earliest;
  }
}
