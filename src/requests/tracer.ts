import { isNotAwaited } from "./gather-errors.ts";
import type { RequestBody } from "./options.ts";
import { type TraceContext, type TraceOptions, readTraceText, traceText } from "./trace-context.ts";

/** Why a message went out: the request itself, the request again because something befell the attempt before, or a further copy. */
export type SendKind = "first" | "again" | "twin" | "hedge" | "all";

/** A server, as a span names it. */
export interface SpanPlace {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
}

/** One request of this program, while it is recorded. */
export interface RequestSpan {
  /** What its messages carry. */
  readonly trace: TraceContext | undefined;
  sent(kind: SendKind, attempt: number, place: SpanPlace): void;
  answered(attempt: number, place: SpanPlace): void;
  /** Once, with what it was rejected with. */
  ended(error?: unknown): void;
  /** Instead, when enough others have answered: nothing has failed. */
  left(): void;
}

/** A request that a handler is to work on. */
export interface ServedSpan {
  readonly server: string;
  readonly type: string;
  readonly trace: TraceContext | undefined;
  readonly requestId: string;
  /** Undefined where the order of a group decides when it runs, and nobody's connection. */
  readonly caller: { readonly name: string; readonly address: string } | undefined;
  readonly attempt: number | undefined;
}

/** Records what requests do. Where there is none nothing is recorded, and nothing is paid for it. */
export interface Tracer {
  /** A request begins, as a part of `parent`, else of what the program is doing. */
  request(key: string, type: string, parent: TraceContext | undefined): RequestSpan;
  /** Runs the handler; what it asks for meanwhile is a part of it. */
  serve<Result>(served: ServedSpan, handle: () => Result): Result;
  /** What the program is doing. */
  current(): TraceContext | undefined;
}

/** What a request has with it of the trace that it belongs to. */
export interface CarriedTrace {
  readonly text: string | undefined;
  readonly span: RequestSpan | undefined;
}

/** Undefined where the caller gives nothing, or nothing that can be read. */
export function carriedTrace(options: TraceOptions | undefined): CarriedTrace | undefined {
  if (options?.traceparent === undefined) return undefined;
  const text = traceText(options);
  return text === undefined ? undefined : { text, span: undefined };
}

/** Asks under a span of its own; a trace that cannot be read counts as none. */
export function askTraced(
  tracer: Tracer,
  key: string,
  type: string,
  options: TraceOptions | undefined,
  ask: (carried: CarriedTrace) => Promise<RequestBody>,
): Promise<RequestBody> {
  const given = options?.traceparent === undefined ? undefined : traceText(options);
  const span = tracer.request(key, type, given === undefined ? undefined : readTraceText(given));
  const answer = ask({ text: span.trace === undefined ? undefined : traceText(span.trace), span });
  answer.then(
    () => span.ended(),
    (thrown: unknown) => {
      if (isNotAwaited(thrown)) span.left();
      else span.ended(thrown);
    },
  );
  return answer;
}
