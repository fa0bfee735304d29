import { type JsonValue, MusterError, type Revision, formatRevision, isRecord, parseRevision } from "../kernel/index.ts";
import { badRequest } from "./errors.ts";
import type { HttpFleet } from "./http-fleet.ts";
import { openApi } from "./openapi.ts";
import { parseChange, parseHeartbeat, parsePut, parseRevisionText, readObject } from "./request-body.ts";
import type { RequestAddress } from "./request-path.ts";
import type { Watchers } from "./watchers.ts";

/** What handlers work with. */
export interface RouteParts {
  readonly fleet: HttpFleet;
  readonly watchers: Watchers;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly version: string;
  /** Waits for a change, but not for ever: a node without a directory would wait for one as long as it takes. */
  readonly limited: <Result>(work: Promise<Result>) => Promise<Result>;
}

export interface HttpRoute {
  readonly method: "get" | "put" | "post" | "delete";
  /** As OpenAPI writes it; `{key}` may hold slashes. */
  readonly path: string;
  readonly handle: (parts: RouteParts, request: Request, address: RequestAddress) => Response | Promise<Response>;
}

/** Positions of the names in `/v1/tables/T/entries/K` and `/v1/find/T/K`. */
const tableAt = 2;
const entryKeyAt = 4;
const findKeyAt = 3;
const entryPath = "/v1/tables/{table}/entries/{key}";

/** Every route; `openapi.ts` describes the same ones, which a test compares. */
export const httpRoutes: readonly HttpRoute[] = [
  { method: "get", path: "/v1/tables", handle: ({ fleet }) => Response.json(fleet.query("tables", {})) },
  { method: "get", path: "/v1/tables/{table}/entries", handle: search },
  { method: "post", path: `${entryPath}/heartbeat`, handle: heartbeat },
  { method: "get", path: entryPath, handle: getEntry },
  { method: "put", path: entryPath, handle: putEntry },
  { method: "delete", path: entryPath, handle: deleteEntry },
  { method: "post", path: "/v1/change", handle: change },
  { method: "get", path: "/v1/find/{table}/{key}", handle: find },
  { method: "get", path: "/v1/partition/{table}/{key}", handle: findPartition },
  { method: "get", path: "/v1/watch", handle: watch },
  { method: "get", path: "/healthz", handle: () => Response.json({ status: "ok" }) },
  { method: "get", path: "/readyz", handle: ready },
  { method: "get", path: "/metrics", handle: metrics },
  { method: "get", path: "/openapi.json", handle: ({ version }) => Response.json(openApi(version)) },
];

function search({ fleet }: RouteParts, _: Request, address: RequestAddress): Response {
  const prefix = address.query("prefix") ?? "";
  return Response.json(fleet.query("search", { table: address.segment(tableAt), prefix, ...whereOf(address) }));
}

function getEntry({ fleet }: RouteParts, _: Request, address: RequestAddress): Response {
  const table = address.segment(tableAt);
  const key = address.rest(entryKeyAt);
  const entry = fleet.query("get", { table, key });
  if (!isRecord(entry)) throw notFound(`there is no entry ${table}/${key}`, `GET /v1/tables/${table}/entries lists what there is`);
  return Response.json(entry, { headers: { etag: `"${String(entry.revision)}"` } });
}

async function putEntry({ fleet, limited }: RouteParts, request: Request, address: RequestAddress): Promise<Response> {
  const table = address.segment(tableAt);
  const key = address.rest(entryKeyAt);
  const { value, valid } = parsePut(await readObject(request));
  const isNew = fleet.query("get", { table, key }) === null;
  const revision = await limited(fleet.change([{ op: "add", table, key, value, valid }], conditionOf(request, table, key)));
  return written(table, key, revision, isNew ? 201 : 200);
}

async function deleteEntry({ fleet, limited }: RouteParts, request: Request, address: RequestAddress): Promise<Response> {
  const table = address.segment(tableAt);
  const key = address.rest(entryKeyAt);
  const force = address.flag("force");
  const revision = await limited(fleet.change([{ op: "delete", table, key, force }], conditionOf(request, table, key)));
  return written(table, key, revision, 200);
}

async function heartbeat({ fleet, limited }: RouteParts, request: Request, address: RequestAddress): Promise<Response> {
  const table = address.segment(tableAt);
  const key = address.rest(entryKeyAt, "/heartbeat");
  const body = parseHeartbeat(await readObject(request));
  await limited(fleet.heartbeat(table, key, body));
  return Response.json({ table, key, maxPeriodMs: body.maxPeriodMs });
}

async function change({ fleet, limited }: RouteParts, request: Request): Promise<Response> {
  const { operations, ifRevision, coherent } = parseChange(await readObject(request));
  const options = { ...(ifRevision.length === 0 ? {} : { ifRevision }), ...(coherent ? { coherent } : {}) };
  return Response.json({ revision: formatRevision(await limited(fleet.change(operations, options))) });
}

function find({ fleet }: RouteParts, _: Request, address: RequestAddress): Response {
  const table = address.segment(tableAt);
  const key = address.rest(findKeyAt);
  const args = { table, key, ...findArgs(address) };
  if (address.flag("all")) return Response.json(fleet.query("find-all", args));
  return found(fleet.query("find", args), `no server answers for ${key} in ${table}`);
}

function findPartition({ fleet }: RouteParts, _: Request, address: RequestAddress): Response {
  const table = address.segment(tableAt);
  const key = address.rest(findKeyAt);
  return found(
    fleet.query("find-partition", { table, key, ...findArgs(address) }),
    `no server answers for the partition ${key} of ${table}`,
  );
}

function watch({ watchers }: RouteParts, request: Request, address: RequestAddress): Response {
  const tables = address.queries("table").filter((table) => table !== "");
  const text = request.headers.get("last-event-id") ?? "";
  const last = text === "" ? undefined : parseRevision(text);
  if (text !== "" && last === undefined)
    throw badRequest(`Last-Event-ID ${JSON.stringify(text)} is not a revision`, "leave it out to begin with what happens next");
  const body = watchers.open(tables, address.query("prefix") ?? "", last);
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" } });
}

function ready({ fleet }: RouteParts): Response {
  const readiness = fleet.readiness();
  if (readiness.ready) return Response.json({ status: "ready", position: formatRevision(fleet.position) });
  throw new MusterError("doors/not-ready", readiness.reason, { next: "wait until the node is attached to the directory: muster status" });
}

async function metrics({ metrics: render }: RouteParts): Promise<Response> {
  const { contentType, text } = await render();
  return new Response(text, { headers: { "content-type": contentType } });
}

function whereOf(address: RequestAddress): { readonly where?: string } {
  const where = address.queries("where").filter((pair) => pair !== "");
  return where.length === 0 ? {} : { where: where.join(",") };
}

function findArgs(address: RequestAddress): { readonly [name: string]: JsonValue } {
  const policy = address.query("policy");
  const seed = address.query("seed");
  return { ...whereOf(address), ...(policy === undefined ? {} : { policy }), ...(seed === undefined ? {} : { seed }) };
}

/** If-Match: the row must be at that revision; If-None-Match: *: there must be none. */
function conditionOf(
  request: Request,
  table: string,
  key: string,
): { readonly ifRevision?: readonly { table: string; key: string; revision: string }[] } {
  const match = request.headers.get("if-match");
  const none = request.headers.get("if-none-match");
  if (match === null && none === null) return {};
  if (none !== null && none !== "*")
    throw badRequest("If-None-Match takes * only", "send If-None-Match: * to add what must not be there yet");
  const revision = match === null ? "absent" : parseRevisionText(match.trim().replace(/^"(.*)"$/, "$1"));
  return { ifRevision: [{ table, key, revision }] };
}

function written(table: string, key: string, revision: Revision, status: number): Response {
  const text = formatRevision(revision);
  return Response.json({ table, key, revision: text }, { status, headers: { etag: `"${text}"` } });
}

function found(route: JsonValue, message: string): Response {
  if (route === null) throw notFound(message, "ask for its state: muster why KEY");
  return Response.json(route);
}

function notFound(message: string, next: string): MusterError {
  return new MusterError("doors/not-found", message, { next });
}
