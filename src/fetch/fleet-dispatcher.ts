import { MusterError } from "../kernel/index.ts";
import type { TraceContext } from "../requests/index.ts";
import { scheme } from "./addresses.ts";
import { type Body, OneShotBody, wholeBody } from "./body.ts";
import { Desk } from "./desk.ts";
import { DispatchCourse } from "./dispatch-course.ts";
import type { FetchFleet } from "./fetch-fleet.ts";
import type { FetchOptions, FetchPorts, FleetRequestOptions } from "./options.ts";
import { traceOf, tracedDispatchHeaders } from "./trace-headers.ts";
import type { Dispatch, DispatchOptions } from "./undici.ts";

export type { Dispatch, DispatchHandler } from "./undici.ts";

/** Stands between undici's calls and its connections. */
export interface FleetInterceptor {
  (dispatch: Dispatch): Dispatch;
  /** Lets go of the fleet; requests under way go on, new ones are refused. Idempotent. */
  close(): void;
}

/**
 * An interceptor for undici's `compose`: requests to the origin `muster://TABLE/KEY` (or `muster://KEY`) are found on the roll, those to other origins
 * pass through. A request says what it wants besides in the field `muster` of its options. Errors reach the handler.
 */
export function fleetInterceptor(fleet: FetchFleet, options: FetchOptions, ports: FetchPorts): FleetInterceptor {
  const desk = new Desk(fleet, options, ports);
  const interceptor =
    (dispatch: Dispatch): Dispatch =>
    (request, handler) => {
      const url = urlOf(request);
      if (url === undefined) return dispatch(request, handler);
      const body = bodyOf(request.body);
      const options = requestOptionsOf(request);
      const traced = tracedRequest(request, traceOf(options, fleet.activeTrace?.()));
      new DispatchCourse(dispatch, traced, body, handler).run((method) => desk.begin(url(), method, body, options));
      return true;
    };
  return Object.assign(interceptor, { close: () => desk.close() });
}

/** Undefined for requests that are not for the roll. The function throws `fetch/bad-url`. */
function urlOf({ origin, path }: DispatchOptions): (() => URL) | undefined {
  const text = String(origin ?? "");
  if (!text.startsWith(`${scheme}//`)) return undefined;
  return () => {
    const whole = `${text.replace(/\/$/, "")}${path.startsWith("/") ? "" : "/"}${path}`;
    const url = URL.parse(whole);
    if (url === null) throw new MusterError("fetch/bad-url", `${whole} is not a URL`, { next: "use the origin muster://TABLE/KEY" });
    return url;
  };
}

function bodyOf(body: unknown): Body {
  if (typeof body !== "object" || body === null || ArrayBuffer.isView(body) || body instanceof Blob || body instanceof FormData)
    return wholeBody;
  return isIterable(body) ? new OneShotBody(body) : wholeBody;
}

function isIterable(body: object): body is AsyncIterable<unknown> | Iterable<unknown> {
  return Symbol.asyncIterator in body || Symbol.iterator in body;
}

/** As undici takes them: an object, names and values in turn, or pairs. */
function tracedRequest(request: DispatchOptions & { readonly headers?: unknown }, trace: TraceContext | undefined): DispatchOptions {
  if (trace === undefined) return request;
  const traced: DispatchOptions & { readonly headers: unknown } = { ...request, headers: tracedDispatchHeaders(request.headers, trace) };
  return traced;
}

/** The field is ours, but the options are undici's, whose types do not know it. */
function requestOptionsOf(request: DispatchOptions & { readonly muster?: FleetRequestOptions }): FleetRequestOptions {
  return request.muster ?? {};
}
