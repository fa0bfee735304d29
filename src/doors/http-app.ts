import { Hono } from "hono";
import { type Clock, MusterError, type Telemetry, errorOf } from "../kernel/index.ts";
import { errorBody, statusOf } from "./errors.ts";
import { checkHost, checkOrigin } from "./host-check.ts";
import type { HttpFleet } from "./http-fleet.ts";
import { metricNames } from "./metrics.ts";
import { RequestAddress } from "./request-path.ts";
import { type HttpRoute, type RouteParts, httpRoutes } from "./routes.ts";
import { Watchers, type WatchersOptions } from "./watchers.ts";

export interface HttpAppOptions {
  readonly fleet: HttpFleet;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** What `/metrics` answers. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Of the program, for `/openapi.json`. */
  readonly version: string;
  /** The door is bound to loopback: requests must name it as that. */
  readonly loopbackOnly: boolean;
  readonly watch?: WatchersOptions;
}

/** The HTTP door as a function from request to response; no socket is involved. */
export interface HttpApp {
  fetch(request: Request): Promise<Response>;
  /** Ends the open watches. Idempotent. */
  close(): void;
}

export function httpApp(options: HttpAppOptions): HttpApp {
  const { fleet, telemetry, clock, loopbackOnly } = options;
  const watchers = new Watchers(fleet, clock, options.watch);
  telemetry.gauge(metricNames.watchers, () => watchers.size);
  const parts: RouteParts = {
    fleet,
    watchers,
    metrics: options.metrics,
    version: options.version,
    limited: (work) => limited(clock, work),
  };
  const app = new Hono();
  for (const route of httpRoutes)
    app.on(route.method.toUpperCase(), honoPath(route.path), async (context) => {
      const startedMs = clock.monoMs();
      const { raw } = context.req;
      const response = await answer(route, parts, raw, loopbackOnly, telemetry);
      count(telemetry, route, response.status, clock.monoMs() - startedMs);
      return response;
    });
  app.notFound((context) => refuse(notFound(context.req.method, context.req.path), context.req.path));
  return {
    fetch: async (request) => app.fetch(request),
    close: () => watchers.close(),
  };
}

const changeMsMax = 10_000;

/** Rejects with `doors/no-directory` when the work takes longer than `changeMsMax`; it goes on, and may still take effect. */
function limited<Result>(clock: Clock, work: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const limit = clock.schedule(changeMsMax, () =>
      reject(
        new MusterError(
          "doors/no-directory",
          `the directory did not answer within ${changeMsMax / 1000} s; the change may still take effect`,
          {
            effect: "maybe",
            next: "read the entry before you repeat the change; GET /readyz says whether the node is attached",
          },
        ),
      ),
    );
    work.then(resolve, reject).finally(() => limit.cancel());
  });
}

async function answer(
  route: HttpRoute,
  parts: RouteParts,
  request: Request,
  loopbackOnly: boolean,
  telemetry: Telemetry,
): Promise<Response> {
  try {
    if (loopbackOnly) checkHost(request);
    checkOrigin(request);
    return await route.handle(parts, request, new RequestAddress(request.url));
  } catch (thrown) {
    if (!(thrown instanceof MusterError))
      telemetry.log("error", "http-request-failed", {
        route: route.path,
        reason: errorOf(thrown).message,
        stack: errorOf(thrown).stack ?? "",
      });
    return refuse(thrown, new URL(request.url).pathname);
  }
}

function refuse(thrown: unknown, path: string): Response {
  const status = statusOf(thrown);
  const allow = status === 405 ? { allow: methodsOf(path).join(", ") } : {};
  const retry = status === 503 ? { "retry-after": "1" } : {};
  return Response.json(errorBody(thrown), { status, headers: { ...allow, ...retry } });
}

function notFound(method: string, path: string): MusterError {
  const methods = methodsOf(path);
  if (methods.length > 0)
    return new MusterError("doors/no-such-method", `${method} is not possible on ${path}`, { next: `use ${methods.join(" or ")}` });
  return new MusterError("doors/no-such-path", `there is nothing at ${path}`, { next: "see /openapi.json for what there is" });
}

/** What the path can be asked with; none when there is no such path. */
function methodsOf(path: string): readonly string[] {
  const methods = httpRoutes.filter((route) => patternOf(route.path).test(path)).map((route) => route.method.toUpperCase());
  return methods.includes("GET") ? ["HEAD", ...methods] : methods;
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll("{table}", "[^/]+").replaceAll("{key}", ".+").replaceAll(".json", "\\.json")}$`);
}

function honoPath(path: string): string {
  return path.replaceAll("{table}", ":table").replaceAll("{key}", ":key{.+}");
}

function count(telemetry: Telemetry, route: HttpRoute, status: number, durationMs: number): void {
  const labels = { method: route.method, route: route.path, status: String(status) };
  telemetry.count(metricNames.requests, 1, labels);
  telemetry.observe(metricNames.requestMs, durationMs, { route: route.path });
}
