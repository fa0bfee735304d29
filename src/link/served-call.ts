import type { MusterError } from "../kernel/index.ts";
import type { CallContext } from "./options.ts";

/** A call of the peer while its handler works on it. The signal is made when the handler first asks for it: few do. */
export class ServedCall implements CallContext {
  readonly id: number;
  readonly method: number;
  readonly deadlineMonoMs: number | undefined;
  #controller: AbortController | undefined;
  #abandoned: MusterError | undefined;

  constructor(id: number, method: number, deadlineMonoMs: number | undefined) {
    this.id = id;
    this.method = method;
    this.deadlineMonoMs = deadlineMonoMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abandoned !== undefined) this.#controller.abort(this.#abandoned);
    }
    return this.#controller.signal;
  }

  /** Nobody waits for the answer any more, so none is sent. */
  get isAbandoned(): boolean {
    return this.#abandoned !== undefined;
  }

  abandon(reason: MusterError): void {
    if (this.#abandoned !== undefined) return;
    this.#abandoned = reason;
    this.#controller?.abort(reason);
  }
}
