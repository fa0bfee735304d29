import { type Clock, type MusterError, parseMusterError } from "../kernel/index.ts";
import type { Address } from "../transport/index.ts";
import { writeCall, writeCancel } from "../wire/index.ts";
import { DeadlineSweep } from "./deadline-sweep.ts";
import { closedError, deadlineError, tooManyCalls } from "./errors.ts";
import type { CallOptions } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import { type PendingCall, PendingCalls } from "./pending-calls.ts";

const forEver = Number.POSITIVE_INFINITY;
const timeoutMsMax = 0xffff_ffff;

/** Our own calls: from the question to the one outcome that each of them has. */
export class OutgoingCalls {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #callsMax: number;
  readonly #peer: Address;
  readonly #pending = new PendingCalls();
  readonly #sweep: DeadlineSweep;

  constructor(outbox: Outbox, clock: Clock, callsMax: number, peer: Address) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#callsMax = callsMax;
    this.#peer = peer;
    this.#sweep = new DeadlineSweep(clock, (nowMonoMs) => this.#expire(nowMonoMs));
  }

  call(method: number, body: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    if (this.#outbox.isClosed) return Promise.reject(closedError(this.#peer, "none"));
    if (this.#pending.size >= this.#callsMax) return Promise.reject(tooManyCalls(this.#callsMax));
    if (options !== undefined) return this.#callWith(method, body, options);
    return new Promise((resolve, reject) => {
      this.#ask(method, body, 0, { id: 0, resolve, reject, dueMonoMs: forEver, release: undefined });
    });
  }

  #callWith(method: number, body: Uint8Array, { deadlineMs, signal }: CallOptions): Promise<Uint8Array> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (deadlineMs !== undefined && !(deadlineMs > 0)) return Promise.reject(deadlineError("none"));
    const dueMonoMs = deadlineMs === undefined ? forEver : this.#clock.monoMs() + deadlineMs;
    const timeoutMs = deadlineMs === undefined ? 0 : Math.min(Math.ceil(deadlineMs), timeoutMsMax);
    return new Promise((resolve, reject) => {
      const call: PendingCall = { id: 0, resolve, reject, dueMonoMs, release: undefined };
      this.#ask(method, body, timeoutMs, call);
      if (dueMonoMs !== forEver) this.#sweep.watch(dueMonoMs);
      if (signal !== undefined) this.#follow(call, signal);
    });
  }

  #ask(method: number, body: Uint8Array, timeoutMs: number, call: PendingCall): void {
    const id = this.#pending.add(call);
    try {
      writeCall(this.#outbox.writer, id, timeoutMs, method, body);
    } catch (error) {
      this.#pending.take(id);
      throw error;
    }
    this.#outbox.schedule();
  }

  #follow(call: PendingCall, signal: AbortSignal): void {
    const abort = () => {
      if (this.#pending.take(call.id) !== call) return;
      this.#tellPeer(call.id);
      call.reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    call.release = () => signal.removeEventListener("abort", abort);
  }

  /** False when nobody waits for it: it comes after the deadline, or after the call was given up. */
  answer(id: number, body: Uint8Array): boolean {
    const call = this.#pending.take(id);
    if (call === undefined) return false;
    call.release?.();
    call.resolve(body);
    return true;
  }

  /** As `answer`. `error` is what the peer sent. */
  fail(id: number, error: unknown): boolean {
    const call = this.#pending.take(id);
    if (call === undefined) return false;
    call.release?.();
    call.reject(parseMusterError(error, "link/handler-failed"));
    return true;
  }

  /** The link has ended: nobody knows what became of what was asked. */
  end(cause: MusterError | undefined): void {
    this.#sweep.stop();
    const calls = this.#pending.takeAll();
    if (calls.length === 0) return;
    const error = closedError(this.#peer, "maybe", cause);
    for (const call of calls) {
      call.release?.();
      call.reject(error);
    }
  }

  /** The peer hears of it too: its clock may run behind ours, and its answer would be for nobody. */
  #expire(nowMonoMs: number): number {
    for (const call of this.#pending.takeDue(nowMonoMs)) {
      call.release?.();
      this.#tellPeer(call.id);
      call.reject(deadlineError("maybe"));
    }
    return this.#pending.earliestDueMonoMs();
  }

  #tellPeer(id: number): void {
    if (this.#outbox.isClosed) return;
    writeCancel(this.#outbox.writer, id);
    this.#outbox.schedule();
  }
}
