import { type JsonValue, MusterError, isRecord, limits } from "../kernel/index.ts";
import { type TableKind, parseTableDefinition, tableRowText } from "./definition.ts";
import { parseHostName, parseKey, quote } from "./key.ts";

/** A server route as data: `HOST9:1872` on the command line. */
export interface ServerRoute {
  readonly host: string;
  readonly port: number;
  readonly data?: JsonValue;
}

const depthMax = 64;
/** Servers of one service instance. */
export const membersMax = 256;

/**
 * Accepts a value for a row of a table of `kind` and returns its canonical JSON text: a server route has `host` first and
 * `port` second, so that a replica can read the host without parsing. `key` is the row's own key.
 * Throws `tables/bad-value`, `tables/value-too-long` and the errors of the parts.
 */
export function parseValue(kind: TableKind, key: string, value: unknown): string {
  const text = canonicalText(normalise(kind, key, value));
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.valueBytesMax)
    throw new MusterError("tables/value-too-long", `the value of ${quote(key)} has ${bytes} bytes, the limit is ${limits.valueBytesMax}`, {
      next: "keep large data with the server and put a reference on the roll",
    });
  return text;
}

/** Reads canonical text back. Throws `tables/bad-value` when it is not JSON. */
export function parseText(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new MusterError("tables/bad-value", "the text of a value is not JSON", { cause });
  }
}

function normalise(kind: TableKind, key: string, value: unknown): JsonValue {
  const json = parseJson(value, 0);
  switch (kind) {
    case "tables":
      return parseText(tableRowText(parseTableDefinition(key, json)));
    case "server":
      if (isMembersRow(json)) return { ...json, members: parseMembers(key, json.members) };
      return { ...parseServerRoute(json) };
    case "host-route":
      return parseRouteAddress(json) === undefined ? refuse(key, "a host route is a network address, such as 16.7.13.1") : json;
    case "partition":
      return partitionTarget(json) === undefined ? refuse(key, "a partition names a key of its servers' table, such as MDS.1") : json;
    case "plain":
      if (!isRecord(json) || !("host" in json) || !("port" in json)) return json;
      return { ...json, ...parseServerRoute({ host: json.host, port: json.port }) };
    case "host":
      return json;
  }
}

/** A route is written by hand: JavaScript would put a property named "1" before the host. */
function canonicalText(json: JsonValue): string {
  if (!isRecord(json) || typeof json.host !== "string" || typeof json.port !== "number") return JSON.stringify(json);
  const { host, port, ...rest } = json;
  const others = JSON.stringify(rest);
  return `{"host":"${host}","port":${port}${others === "{}" ? "" : `,${others.slice(1, -1)}`}}`;
}

/** Accepts `{ host, port, data? }`. Throws `tables/bad-route`. */
export function parseServerRoute(value: unknown): ServerRoute {
  if (!isRecord(value)) throw badRoute("it is not an object");
  const { host, port, data, ...rest } = value;
  const [extra] = Object.keys(rest);
  if (extra !== undefined) throw badRoute(`${quote(extra)} is not part of a server route`);
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw badRoute("the port is not an integer from 1 to 65535");
  return { host: parseHostName(host), port, ...(data === undefined ? {} : { data: parseJson(data, 0) }) };
}

/** True when a value that is on the roll is a server route. */
export function isRouteValue(value: JsonValue): value is { readonly host: string; readonly port: number; readonly data?: JsonValue } {
  return isRecord(value) && typeof value.host === "string" && typeof value.port === "number";
}

/** Reads "HOST9:1872" or 'HOST9:1872 {"zone":"a"}'. Throws `tables/bad-route`. */
export function parseRouteText(text: string): ServerRoute {
  const match = /^\s*([^\s:]+):(\d{1,5})(?:\s+(\S[\s\S]*))?$/.exec(text);
  if (match === null) throw badRoute(`${quote(text)} is not HOST:PORT`);
  const [, host, port, data] = match;
  return parseServerRoute({ host, port: Number(port), ...(data === undefined ? {} : { data: parseAttributes(data) }) });
}

function parseAttributes(text: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    throw badRoute(`${quote(text)} after the route is not JSON`);
  }
}

/** "HOST9:1872", as people write it. */
export function formatServerRoute(route: ServerRoute): string {
  const data = route.data === undefined ? "" : ` ${JSON.stringify(route.data)}`;
  return `${route.host}:${route.port}${data}`;
}

/** The network address that a host route's value carries: a text, or an object with `address`; undefined when neither. */
export function parseRouteAddress(value: JsonValue): string | undefined {
  const address = isRecord(value) ? value.address : value;
  return typeof address === "string" && address.length <= 255 && /^[^\s\p{Cc}]+$/u.test(address) ? address : undefined;
}

/** The key that a partition's row names, and its weight under rendezvous (default 1); undefined when it names none. */
export function partitionTarget(value: JsonValue): { readonly key: string; readonly weight: number } | undefined {
  if (typeof value === "string") return value === "" ? undefined : { key: value, weight: 1 };
  if (!isRecord(value) || typeof value.server !== "string" || value.server === "") return undefined;
  const { server, weight = 1 } = value;
  return typeof weight === "number" && weight > 0 && weight < 1e9 ? { key: server, weight } : undefined;
}

/** The keys of a service instance's members in their order, when the value is such a row; else undefined (as for a row of `groups`). */
export function membersOf(value: JsonValue): readonly string[] | undefined {
  if (!isMembersRow(value)) return undefined;
  const keys = value.members.filter((member) => typeof member === "string");
  return keys.length === value.members.length ? keys : undefined;
}

function isMembersRow(value: JsonValue): value is { readonly members: readonly JsonValue[] } {
  return isRecord(value) && Array.isArray(value.members) && !("host" in value);
}

function parseMembers(key: string, members: readonly JsonValue[]): JsonValue {
  if (members.length > membersMax) return refuse(key, `a service instance has at most ${membersMax} members`);
  const keys = members.map(parseKey);
  if (new Set(keys).size !== keys.length) return refuse(key, "a member is named twice");
  return keys;
}

/** Copies what is JSON; refuses what `JSON.stringify` would drop or bend silently. */
function parseJson(value: unknown, depth: number): JsonValue {
  if (depth > depthMax) throw badValue(`the value is nested deeper than ${depthMax} levels`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    throw badValue(`${value} is not a JSON number`);
  }
  if (Array.isArray(value)) return value.map((item) => parseJson(item, depth + 1));
  if (isRecord(value)) {
    const named = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return Object.fromEntries(named.map(([name, inner]) => [name, parseJson(inner, depth + 1)]));
  }
  throw badValue(`a ${typeof value} is not JSON`);
}

function refuse(key: string, why: string): never {
  throw badValue(`the value of ${quote(key)} is refused: ${why}`);
}

function badValue(message: string): MusterError {
  return new MusterError("tables/bad-value", message, { next: "values are JSON; what a table accepts is in docs/concepts.md" });
}

function badRoute(why: string): MusterError {
  return new MusterError("tables/bad-route", `this is not a server route: ${why}`, {
    next: 'write HOST9:1872, or {"host":"HOST9","port":1872,"data":{…}}',
  });
}
