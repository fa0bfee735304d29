import {
  type Replica,
  type ReplicaObserver,
  type StateName,
  isAvoided,
  parseHostRouteKey,
  parseRouteAddress,
  parseState,
  parseText,
  stateKey,
  tableNumbers,
  targetOfStateKey,
} from "../tables/index.ts";
import type { Lane } from "./lane.ts";

/**
 * What the roll says against a lane: its server is given up (`server`), its host or its route is (`path`), or it is to be used only
 * if nothing else is left (`avoided`).
 */
export interface Accusation {
  readonly kind: "server" | "path" | "avoided";
  readonly why: string;
}

/** States of a server or its host in which requests that are there go elsewhere. */
const leftStates: ReadonlySet<string> = new Set(["suspect", "stalled"]);

/** The rows as they are now; undefined when nothing is said against the lane. */
export function accusationOf(replica: Replica, lane: Lane): Accusation | undefined {
  const { tableNumber, instance, host, address } = lane;
  if (!replica.hostAlive(host)) return { kind: "path", why: `the host ${host} is gone` };
  const row = replica.row(tableNumber, instance);
  // In good order it answered what was under way first, perhaps slower than the roll: its connection has the last word.
  if (row === undefined) return { kind: "avoided", why: "it has left the roll" };
  if (!row.flag) return { kind: "server", why: "it is invalid" };
  if (!namesRoute(row.text, lane)) return { kind: "server", why: "it serves elsewhere now" };
  if (!hasRoute(replica, host, address)) return { kind: "path", why: `the route ${address} is invalid` };
  const state = stateOf(replica, stateKey(lane.table, instance)) ?? stateOf(replica, stateKey("hosts", host));
  return state === undefined ? undefined : { kind: "avoided", why: `it is ${state}` };
}

/** Whether lookups pass over the server while others are left, or over its host. Work that is there stays, but for what `accusationOf` says. */
export function isPassedOver(replica: Replica, { table, instance, host }: Lane): boolean {
  if (replica.entryCount(tableNumbers.states) === 0) return false;
  return [stateKey(table, instance), stateKey("hosts", host)].some((key) => {
    const state = stateNameOf(replica, key);
    return state !== undefined && isAvoided(state);
  });
}

function namesRoute(text: string, { host, port }: Lane): boolean {
  const value = parseText(text);
  return typeof value === "object" && value !== null && "host" in value && "port" in value && value.host === host && value.port === port;
}

function hasRoute(replica: Replica, host: string, address: string): boolean {
  for (const { key, text, flag } of replica.rowsBelow(tableNumbers.hostRoute, `${host}.`))
    if (flag && parseHostRouteKey(key)?.host === host && parseRouteAddress(parseText(text)) === address) return true;
  return false;
}

function stateOf(replica: Replica, key: string | undefined): string | undefined {
  const state = stateNameOf(replica, key);
  return state !== undefined && leftStates.has(state) ? state : undefined;
}

function stateNameOf(replica: Replica, key: string | undefined): StateName | undefined {
  const row = key === undefined ? undefined : replica.row(tableNumbers.states, key);
  if (row === undefined || !row.flag) return undefined;
  try {
    return parseState(parseText(row.text)).state;
  } catch {
    // Written by hand, or by a version that knows more states: nothing follows from it here.
    return undefined;
  }
}

export interface LaneIndexEvents {
  /** Lanes that a change may have accused or cleared. Called after the change was applied, with finders up to date. */
  touched(lanes: ReadonlySet<Lane>): void;
  /** A row has changed that may name a server. */
  row(table: number, key: string): void;
  declared(): void;
  /** The set of tables may have changed. */
  redefined(): void;
}

/** Which lanes a change of the roll concerns: by server, by host and its routes, by what is known of either. */
export class LaneIndex implements ReplicaObserver {
  readonly #replica: Replica;
  readonly #events: LaneIndexEvents;
  readonly #byServer = new Map<number, Map<string, Set<Lane>>>();
  readonly #byHost = new Map<string, Set<Lane>>();
  #touched = new Set<Lane>();
  #told = true;

  constructor(replica: Replica, events: LaneIndexEvents) {
    this.#replica = replica;
    this.#events = events;
  }

  add(lane: Lane): void {
    if (lane.watched) return;
    lane.watched = true;
    let servers = this.#byServer.get(lane.tableNumber);
    if (servers === undefined) {
      servers = new Map();
      this.#byServer.set(lane.tableNumber, servers);
    }
    put(servers, lane.instance, lane);
    put(this.#byHost, lane.host, lane);
  }

  remove(lane: Lane): void {
    if (!lane.watched) return;
    lane.watched = false;
    const servers = this.#byServer.get(lane.tableNumber);
    if (servers !== undefined) take(servers, lane.instance, lane);
    take(this.#byHost, lane.host, lane);
    this.#touched.delete(lane);
  }

  /** All that are watched. */
  lanes(): readonly Lane[] {
    return [...this.#byHost.values()].flatMap((lanes) => [...lanes]);
  }

  touched(table: number, key: string): void {
    switch (table) {
      case tableNumbers.hostRoute:
        this.#mark(this.#byHost.get(parseHostRouteKey(key)?.host ?? ""));
        break;
      case tableNumbers.states:
        this.#touchedState(key);
        return;
      case tableNumbers.requestTypes:
        this.#events.declared();
        return;
      default:
        this.#mark(this.#byServer.get(table)?.get(key));
    }
    this.#events.row(table, key);
  }

  host(name: string): void {
    this.#mark(this.#byHost.get(name));
    this.#events.row(tableNumbers.hosts, name);
  }

  reset(): void {
    for (const lanes of this.#byHost.values()) this.#mark(lanes);
    this.#events.declared();
    this.#events.redefined();
    this.#events.row(tableNumbers.hosts, "");
  }

  #touchedState(key: string): void {
    const target = targetOfStateKey(key);
    if (target === undefined) return;
    const number = this.#replica.table(target.table)?.number;
    if (number === undefined) return;
    this.#mark(number === tableNumbers.hosts ? this.#byHost.get(target.key) : this.#byServer.get(number)?.get(target.key));
    this.#events.row(number, target.key);
  }

  /** Looked at once the change has been applied everywhere, however many of its rows concern a lane. */
  #mark(lanes: ReadonlySet<Lane> | undefined): void {
    if (lanes === undefined) return;
    for (const lane of lanes) this.#touched.add(lane);
    if (!this.#told || this.#touched.size === 0) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      const touched = this.#touched;
      this.#touched = new Set();
      this.#events.touched(touched);
    });
  }
}

function put(index: Map<string, Set<Lane>>, name: string, lane: Lane): void {
  const known = index.get(name);
  if (known === undefined) index.set(name, new Set([lane]));
  else known.add(lane);
}

function take(index: Map<string, Set<Lane>>, name: string, lane: Lane): void {
  const known = index.get(name);
  if (known?.delete(lane) === true && known.size === 0) index.delete(name);
}
