import type { CompleteRoute } from "../find/index.ts";
import type { Channel } from "./channel.ts";
import type { Declaration } from "./declarations.ts";
import { LaneLoad } from "./lane-load.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { Spare } from "./spare.ts";
import type { TypeRecord } from "./type-record.ts";

/** A number that stands for a type on a link. */
export interface GivenTarget {
  readonly value: number;
}

/** The same later: undefined once the number stands for another type. */
export interface TargetNumber {
  readonly value: number | undefined;
}

/** What a lane knows of one type of request. */
export interface LaneType {
  readonly name: string;
  readonly declaration: Declaration;
  /** The state of all declarations that it was read from. */
  readonly generation: number;
  readonly record: TypeRecord;
  /** Its number on the channel's link; undefined until it was named there. */
  target: TargetNumber | undefined;
}

/**
 * One server over one route, and the requests that are there: the list by server and by route that a pushed failure moves.
 * The list is linked through the requests themselves, so that joining and leaving it costs a few stores.
 */
export class Lane {
  readonly table: string;
  readonly tableNumber: number;
  readonly instance: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
  /** "address port". */
  readonly place: string;
  /** How this server is called where one of its addresses serves several. */
  readonly name: string;
  /** As find named it last. */
  route: CompleteRoute;
  channel: Channel | undefined = undefined;
  readonly types = new Map<string, LaneType>();
  /** The type that was asked for last: programs ask for one over and over, and comparing a name costs less than looking it up. */
  lastType: LaneType | undefined = undefined;
  /** Further copies of requests whose main copy is elsewhere. */
  readonly spares = new Set<Spare>();
  readonly load = new LaneLoad();
  /** Its share among others that are as busy. */
  weight = 1;
  /** When a choice last fell on it, in choices of its caller. */
  chosen = 0;
  /** Whether pushed changes find it. */
  watched = false;
  #first: PendingRequest | undefined = undefined;
  #size = 0;

  constructor(table: string, tableNumber: number, route: CompleteRoute) {
    this.table = table;
    this.tableNumber = tableNumber;
    this.instance = route.instance;
    this.host = route.host;
    this.address = route.address;
    this.port = route.port;
    this.place = `${route.address} ${route.port}`;
    this.name = `${this.place} ${table}/${route.instance}`;
    this.route = route;
  }

  get size(): number {
    return this.#size;
  }

  /** Copies of requests that are there, or will be once there is a connection. */
  get inFlight(): number {
    return this.#size + this.spares.size;
  }

  /** What one more request would wait there, roughly. */
  cost(nowMonoMs: number): number {
    return this.load.cost(this.inFlight, nowMonoMs) / this.weight;
  }

  /** How long one more request would take there, in milliseconds; 0 while nobody knows, but for the one that finds out. */
  expectedMs(nowMonoMs: number): number {
    return this.load.expectedMs(this.inFlight, nowMonoMs) / this.weight;
  }

  add(request: PendingRequest): void {
    request.lane = this;
    const first = this.#first;
    request.after = first;
    if (first !== undefined) first.before = request;
    this.#first = request;
    this.#size++;
  }

  remove(request: PendingRequest): void {
    if (request.lane !== this) return;
    const { before, after } = request;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after !== undefined) after.before = before;
    request.before = undefined;
    request.after = undefined;
    request.lane = undefined;
    this.#size--;
  }

  /** Those that are there now, oldest first; they may leave while the list is read. */
  requests(): readonly PendingRequest[] {
    const list: PendingRequest[] = [];
    for (let request = this.#first; request !== undefined; request = request.after) list.push(request);
    return list.reverse();
  }
}
