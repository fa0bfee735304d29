import type { MusterError } from "../kernel/index.ts";
import type { RequestContext } from "./options.ts";
import type { ServedLink } from "./served-link.ts";
import type { ServedService } from "./served-service.ts";
import { type TraceContext, readTraceText } from "./trace-context.ts";
import type { Tracer } from "./tracer.ts";

/** A request while its handler works on it. The signal is made when the handler first asks for it: few do. */
export class ServedRequest implements RequestContext {
  readonly id: number;
  readonly attempt: number;
  readonly service: ServedService;
  readonly bodyBytes: number;
  readonly dueMonoMs: number;
  /** An older attempt of the same request that runs here, too. */
  sibling: ServedRequest | undefined = undefined;
  readonly #link: ServedLink;
  readonly #traceText: string | undefined;
  #controller: AbortController | undefined;
  #given: MusterError | undefined;

  constructor(
    link: ServedLink,
    service: ServedService,
    id: number,
    attempt: number,
    bodyBytes: number,
    dueMonoMs: number,
    traceText: string | undefined,
  ) {
    this.#link = link;
    this.#traceText = traceText;
    this.service = service;
    this.id = id;
    this.attempt = attempt;
    this.bodyBytes = bodyBytes;
    this.dueMonoMs = dueMonoMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#given !== undefined) this.#controller.abort(this.#given);
    }
    return this.#controller.signal;
  }

  get deadlineMs(): number {
    return Math.max(0, this.dueMonoMs - this.#link.nowMonoMs);
  }

  get caller(): RequestContext["caller"] {
    return this.#link.caller;
  }

  get requestId(): string {
    return `${this.#link.token}:${this.id}`;
  }

  get trace(): TraceContext | undefined {
    return this.#traceText === undefined ? undefined : readTraceText(this.#traceText);
  }

  /** Runs its handler, recorded. */
  traced<Result>(tracer: Tracer, type: string, handle: () => Result): Result {
    const { trace, requestId, caller, attempt } = this;
    return tracer.serve({ server: this.service.instance, type, trace, requestId, caller, attempt }, handle);
  }

  /** Nobody waits for the answer any more, so none is sent. */
  get isAbandoned(): boolean {
    return this.#given !== undefined;
  }

  /** The server gives it up, and its caller is told. */
  giveUp(reason: MusterError): void {
    this.#link.abandon(this, reason);
  }

  abandon(reason: MusterError): void {
    if (this.#given !== undefined) return;
    this.#given = reason;
    this.#controller?.abort(reason);
  }
}
