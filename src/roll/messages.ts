import { type JsonValue, MusterError, isRecord } from "../kernel/index.ts";
import { type EpochStart } from "./epochs.ts";
import type { Departure } from "./host-expiry.ts";
import { type Range, parseRanges } from "./interest.ts";
import { type SessionKind, parseKind } from "./sessions.ts";
import { parseHostName, parseRouteAddress, parseValue } from "../tables/index.ts";

/**
 * What a child and its parent say to each other. Control messages are JSON (they are rare, and an older node may skip a
 * field it does not know); batches and parts of loads are binary. Version 2 added `keep` to loads.
 */
export const protocolVersions = { min: 1, max: 2 } as const;

/** Calls, always from the child. */
export const method = { admit: 1, settle: 2, query: 3 } as const;

/** One-way messages. */
export const message = {
  // child → parent
  attach: 1,
  interest: 2,
  change: 3,
  beat: 4,
  alive: 5,
  settled: 6,
  presence: 7,
  leave: 8,
  offer: 9,
  pulse: 10,
  hostNews: 11,
  routeNews: 12,
  // parent → child
  attached: 16,
  batch: 18,
  loadBegin: 19,
  loadPart: 20,
  loadEnd: 21,
  tick: 22,
  outcome: 23,
  settle: 24,
  rebind: 25,
  adopt: 26,
  pulsed: 27,
} as const;

export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

export function decodeValue(body: Uint8Array): JsonValue {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch (cause) {
    throw new MusterError("roll/bad-message", "a message is not JSON", { cause });
  }
}

/** Parses a JSON body into an object; the parsers below look at its fields. */
export function decodeJson(body: Uint8Array): Readonly<Record<string, unknown>> {
  const value = decodeValue(body);
  if (!isRecord(value)) throw new MusterError("roll/bad-message", "a message is not an object");
  return value;
}

function natural(record: Readonly<Record<string, unknown>>, name: string): number {
  const value = record[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new MusterError("roll/bad-message", `"${name}" is not a number`);
}

function string(record: Readonly<Record<string, unknown>>, name: string, charactersMax = 300): string {
  const value = record[name];
  if (typeof value === "string" && value.length <= charactersMax) return value;
  throw new MusterError("roll/bad-message", `"${name}" is not a text of at most ${charactersMax} characters`);
}

/** What each end says of itself when a link opens. */
export interface Hello {
  readonly role: SessionKind;
  readonly name: string;
  readonly token: string;
  /** The fleet that this node belongs to; empty for one that has not met any. */
  readonly fleet: string;
  /** The highest epoch that it has seen. */
  readonly epoch: number;
  /** For a program: its process, so that its end can be told from the end of its link. */
  readonly pid?: number;
  readonly started?: string;
}

export function parseHello(input: unknown): Hello {
  if (!isRecord(input)) throw new MusterError("roll/bad-message", "a hello is not an object");
  return {
    role: parseKind(input["role"]),
    name: string(input, "name"),
    token: string(input, "token", 64),
    fleet: string(input, "fleet", 64),
    epoch: natural(input, "epoch"),
    ...(typeof input["pid"] === "number" ? { pid: input["pid"] } : {}),
    ...(typeof input["started"] === "string" ? { started: input["started"] } : {}),
  };
}

/** A child asks to follow: from where it stands, for what it wants. */
export interface Attach {
  readonly session: number;
  /** Counts this node's attachments: a later one outdates an earlier one, however the notices travel. */
  readonly counter: number;
  readonly epoch: number;
  readonly sequence: number;
  /** Ranges that it holds whole at that position. */
  readonly held: readonly Range[];
  readonly want: readonly Range[];
}

export function parseAttach(input: Readonly<Record<string, unknown>>): Attach {
  return {
    session: natural(input, "session"),
    counter: natural(input, "counter"),
    epoch: natural(input, "epoch"),
    sequence: natural(input, "sequence"),
    held: parseRanges(input["held"]),
    want: parseRanges(input["want"]),
  };
}

/** The parent takes the child: the stream begins right behind this message. */
export interface Attached {
  readonly fleet: string;
  readonly epoch: number;
  readonly epochs: readonly EpochStart[];
  /** Tokens of the nodes from the directory down to this parent. */
  readonly path: readonly string[];
  readonly tick: number;
  /** Random identity of the reign: two reigns of one number (an old copy of a store was started) are told apart by it. */
  readonly reign: string;
  readonly detached: boolean;
  /** True: the stream continues the child's position; false: a load comes first. */
  readonly resumed: boolean;
  /** For agents and relays: what keys the probes of this fleet, in hex. Programs are not told. */
  readonly secret?: string;
  /** For them too: where the parent answers probes besides the address of this link, as `H:P`. */
  readonly probes?: readonly string[];
}

export function parseEpochs(input: unknown): readonly EpochStart[] {
  if (!Array.isArray(input)) return [];
  return input.filter(isRecord).map((start) => ({ epoch: natural(start, "epoch"), sequence: natural(start, "sequence") }));
}

function parsePath(input: unknown): readonly string[] {
  return Array.isArray(input) ? input.filter((name) => typeof name === "string").slice(0, 64) : [];
}

/** Addresses as `H:P`; what is none is left out. */
function parsePlaces(input: readonly unknown[]): readonly string[] {
  return input.filter((place): place is string => typeof place === "string" && /^\S{1,255}:\d{1,5}$/.test(place)).slice(0, 8);
}

export function parseAttached(input: Readonly<Record<string, unknown>>): Attached {
  return {
    fleet: string(input, "fleet", 64),
    epoch: natural(input, "epoch"),
    epochs: parseEpochs(input["epochs"]),
    path: parsePath(input["path"]),
    tick: natural(input, "tick"),
    reign: string(input, "reign", 64),
    detached: input["detached"] === true,
    resumed: input["resumed"] === true,
    ...(typeof input["secret"] === "string" && /^[0-9a-f]{32,128}$/.test(input["secret"]) ? { secret: input["secret"] } : {}),
    ...(Array.isArray(input["probes"]) ? { probes: parsePlaces(input["probes"]) } : {}),
  };
}

/** The directory's pulse; in stream order, so whoever reads it has everything up to its position. */
export interface Tick {
  readonly epoch: number;
  readonly reign: string;
  readonly number: number;
  readonly path: readonly string[];
  readonly sequence: number;
  /** The epoch of `sequence`. */
  readonly at: number;
  /** How long ago the sender itself heard it, at most: 0 at the directory. */
  readonly ageMs: number;
  /** The newest sign of life of the receiver that the sender had read: so a tick that lay about is known for old. */
  readonly echo: number;
}

export function parseTick(input: Readonly<Record<string, unknown>>): Tick {
  return {
    epoch: natural(input, "epoch"),
    reign: string(input, "reign", 64),
    number: natural(input, "number"),
    path: parsePath(input["path"]),
    sequence: natural(input, "sequence"),
    at: natural(input, "at"),
    ageMs: typeof input["ageMs"] === "number" ? Math.max(0, input["ageMs"]) : Number.POSITIVE_INFINITY,
    echo: natural(input, "echo"),
  };
}

/** News about who is attached where, on its way to the directory. */
export interface Presence {
  readonly session: number;
  readonly counter: number;
  /** `gone`: the process has ended, nobody will come back under this session. */
  readonly state: "attached" | "left" | "gone";
  /** Of one that left: how its link ended. */
  readonly cause?: Departure;
}

export function parsePresence(input: Readonly<Record<string, unknown>>): Presence {
  const state = input["state"];
  if (state !== "attached" && state !== "left" && state !== "gone") throw new MusterError("roll/bad-message", "a presence has no state");
  const cause = input["cause"];
  return {
    session: natural(input, "session"),
    counter: natural(input, "counter"),
    state,
    ...(cause === "closed" || cause === "silent" || cause === "unknown" ? { cause } : {}),
  };
}

/** What the node that a host is attached to hears of it, over all routes together. */
export interface HostNews {
  readonly session: number;
  readonly counter: number;
  readonly host: string;
  readonly heard: boolean;
  readonly why: string;
}

export function parseHostNews(input: Readonly<Record<string, unknown>>): HostNews {
  return {
    session: natural(input, "session"),
    counter: natural(input, "counter"),
    host: string(input, "host"),
    heard: input["heard"] === true,
    why: string(input, "why", 500),
  };
}

/** The same of one route. */
export interface RouteNews {
  readonly session: number;
  readonly counter: number;
  readonly host: string;
  readonly number: number;
  readonly valid: boolean;
  readonly why: string;
}

export function parseRouteNews(input: Readonly<Record<string, unknown>>): RouteNews {
  return {
    session: natural(input, "session"),
    counter: natural(input, "counter"),
    host: string(input, "host"),
    number: natural(input, "number"),
    valid: input["valid"] === true,
    why: string(input, "why", 500),
  };
}

export interface Admit {
  readonly kind: SessionKind;
  readonly name: string;
  readonly token: string;
  readonly counter: number;
  /** For an agent: the addresses of its host's routes, in order. */
  readonly routes: readonly string[];
  /** For an agent: attributes of its host (zone, …). */
  readonly attributes: Readonly<Record<string, unknown>>;
}

function parseRoute(route: unknown): string {
  const address = typeof route === "string" ? parseRouteAddress(route) : undefined;
  if (address === undefined)
    throw new MusterError("roll/bad-route", "a route of this host is not a network address", {
      next: "write one, such as --route 10.0.0.9",
    });
  return address;
}

export function parseAdmit(input: Readonly<Record<string, unknown>>): Admit {
  const kind = parseKind(input["kind"]);
  const routes = Array.isArray(input["routes"]) ? input["routes"].slice(0, 8).map(parseRoute) : [];
  const attributes = isRecord(input["attributes"]) ? input["attributes"] : {};
  const name = string(input, "name");
  if (kind === "agent") parseValue("host", parseHostName(name), { routes: routes.length, ...attributes });
  return {
    kind,
    name,
    token: string(input, "token", 64),
    counter: natural(input, "counter"),
    routes,
    attributes,
  };
}

/** What runs when the next heartbeat does not come. */
export type ExpiryAction =
  | { readonly action: "invalidate" | "delete" }
  | { readonly action: "add"; readonly table: string; readonly key: string; readonly value: unknown }
  | { readonly action: "hook"; readonly name: string };

export interface Beat {
  readonly table: string;
  readonly key: string;
  readonly maxPeriodMs: number;
  readonly onExpiry: ExpiryAction;
  /** The program's handle beats by itself: then pulses of the program keep the entry alive as well. */
  readonly automatic?: boolean;
}

/** From a thread of a program beside its main loop: the process runs, and for so long its main loop has not turned. */
export interface PulseNews {
  readonly number: number;
  readonly lagMs: number;
}

export function parsePulse(input: Readonly<Record<string, unknown>>): PulseNews {
  return { number: natural(input, "number"), lagMs: natural(input, "lagMs") };
}

/** The watcher's answer: whether it knows the program, so that the main loop's own beats are not needed. */
export interface PulseEcho {
  readonly number: number;
  readonly known: boolean;
}

export function parsePulseEcho(input: Readonly<Record<string, unknown>>): PulseEcho {
  return { number: natural(input, "number"), known: input["known"] === true };
}

export const maxPeriodMsMin = 100;
export const maxPeriodMsMax = 3_600_000;

export function parseExpiry(input: unknown): ExpiryAction {
  if (!isRecord(input)) return { action: "invalidate" };
  switch (input["action"]) {
    case "invalidate":
    case "delete":
      return { action: input["action"] };
    case "add":
      return { action: "add", table: string(input, "table"), key: string(input, "key", 512), value: input["value"] };
    case "hook":
      return { action: "hook", name: string(input, "name") };
    default:
      throw new MusterError("roll/bad-expiry", `"${String(input["action"])}" is not an action`, {
        next: 'use "invalidate", "delete", "add" or "hook"',
      });
  }
}

export function parseBeat(input: Readonly<Record<string, unknown>>): Beat {
  const maxPeriodMs = natural(input, "maxPeriodMs");
  if (maxPeriodMs < maxPeriodMsMin || maxPeriodMs > maxPeriodMsMax)
    throw new MusterError("roll/bad-period", `a heartbeat is expected within 100 ms … 1 h, not ${maxPeriodMs} ms`, {
      next: "choose another maxPeriodMs",
    });
  return {
    table: string(input, "table"),
    key: string(input, "key", 512),
    maxPeriodMs,
    onExpiry: parseExpiry(input["onExpiry"]),
    ...(input["automatic"] === true ? { automatic: true } : {}),
  };
}
