import { scheme } from "./addresses.ts";
import { type Body, OneShotBody, wholeBody } from "./body.ts";
import type { Course } from "./course.ts";
import { Desk } from "./desk.ts";
import type { FetchFleet } from "./fetch-fleet.ts";
import type { FetchOptions, FetchPorts, FleetRequestOptions } from "./options.ts";
import { type Hop, nextHop } from "./redirects.ts";
import { traceOf, tracedHeaders } from "./trace-headers.ts";

export interface FleetRequestInit extends RequestInit {
  readonly muster?: FleetRequestOptions;
}

/** A `fetch` that finds servers; call it as you call the other one. */
export interface FleetFetch {
  (input: string | URL | Request, init?: FleetRequestInit): Promise<Response>;
  /** Lets go of the fleet; requests under way go on, new ones are refused. Idempotent. */
  close(): void;
}

/**
 * Makes a `fetch` whose `muster://` addresses are found on the roll; all others go to `inner` as they are. The answer is
 * `inner`'s, streamed through; its `url` says who has answered. Rejects as `fetch` does for what is the caller's own, with the
 * signal's reason, or with a `MusterError` of this room.
 */
export function createFleetFetch(
  fleet: FetchFleet,
  options: FetchOptions,
  ports: FetchPorts & { readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response> },
): FleetFetch {
  const desk = new Desk(fleet, options, ports);
  const fleetFetch = async (input: string | URL | Request, init: FleetRequestInit = {}): Promise<Response> => {
    const { muster, ...rest } = init;
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol !== scheme) return ports.fetch(input, rest);
    const given = input instanceof Request ? partsOf(input, rest) : rest;
    const { signal, body, ...plain } = given;
    const headers = tracedHeaders(plain.headers, traceOf(muster ?? {}, fleet.activeTrace?.()));
    if (headers !== undefined) plain.headers = headers;
    signal?.throwIfAborted();
    const method = (given.method ?? "GET").toUpperCase();
    const sent = bodyOf(body);
    const course = desk.begin(url, method, sent, muster);
    const forget = follow(signal, course);
    const end = () => {
      forget();
      course.end();
    };
    try {
      return await pursue(course, { ...plain, method }, sent instanceof OneShotBody ? sent : (body ?? null), ports.fetch, end);
    } catch (thrown) {
      end();
      throw thrown;
    }
  };
  return Object.assign(fleetFetch, { close: () => desk.close() });
}

type SentBody = Exclude<RequestInit["body"], undefined>;

async function pursue(
  course: Course,
  plain: RequestInit,
  body: OneShotBody<Uint8Array> | SentBody,
  send: (input: string, init: RequestInit) => Promise<Response>,
  end: () => void,
): Promise<Response> {
  const { redirect = "follow", integrity = "" } = plain;
  // Only the last answer has to be as `integrity` says, and which one that is only the client knows that follows.
  const followed = redirect === "follow" && integrity !== "";
  const follows = redirect === "follow" && !followed;
  for (;;) {
    const route = await course.route();
    const controller = new AbortController();
    const attempt = course.attempt(route, (reason) => controller.abort(reason));
    const { signal } = controller;
    const own: RequestInit = body instanceof OneShotBody ? { body: ReadableStream.from(body.chunks()), duplex: "half" } : { body };
    let hop: Hop = { url: `${attempt.origin}${attempt.path}`, init: { ...plain, ...own, ...(follows ? { redirect: "manual" } : {}) } };
    let hops = 0;
    let response: Response;
    try {
      response = await send(hop.url, { ...hop.init, signal });
      for (let next = follows ? nextHop(hop, response, hops) : undefined; next !== undefined; next = nextHop(hop, response, hops)) {
        discard(response);
        course.redirected(attempt, new URL(next.url).origin === new URL(attempt.origin).origin);
        hops++;
        hop = next;
        response = await send(hop.url, { ...hop.init, signal });
      }
    } catch (thrown) {
      course.failed(attempt, thrown, followed);
      continue;
    }
    if (course.postponed(attempt, response.status, response.headers.get("retry-after"))) {
      discard(response);
      continue;
    }
    course.answered(attempt);
    return withBody(response, hops > 0, course, end);
  }
}

function discard(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}

/** The answer with a body that says when it is over, and why it ended early. */
function withBody(response: Response, sentOn: boolean, course: Course, end: () => void): Response {
  // What a response does not know of itself that was made by hand, or asked for by us on the way.
  const { url, type } = response;
  const known = { url: { value: url }, redirected: { value: sentOn || response.redirected }, type: { value: type } };
  if (response.body === null) {
    end();
    return Object.defineProperties(response, known);
  }
  const reader = response.body.getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          end();
          controller.close();
        } catch (thrown) {
          end();
          throw course.bodyError(thrown);
        }
      },
      cancel: (reason) => {
        end();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  const { status, statusText, headers } = response;
  return Object.defineProperties(new Response(body, { status, statusText, headers }), known);
}

/** A request as it was made, as the parts that each attempt is made of; what `init` says wins, as it does in `fetch`. */
function partsOf(request: Request, init: RequestInit): RequestInit {
  const { method, headers, redirect, signal, body, keepalive, integrity } = request;
  return { method, headers, redirect, signal, body, keepalive, integrity, ...init };
}

function bodyOf(body: RequestInit["body"]): Body {
  if (typeof body !== "object" || body === null) return wholeBody;
  if (body instanceof Blob || body instanceof FormData || body instanceof URLSearchParams || ArrayBuffer.isView(body)) return wholeBody;
  return Symbol.asyncIterator in body ? new OneShotBody(body) : wholeBody;
}

function follow(signal: AbortSignal | null | undefined, course: Course): () => void {
  if (signal === null || signal === undefined) return () => {};
  const abort = () => course.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
