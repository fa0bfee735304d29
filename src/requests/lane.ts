import type { CompleteRoute } from "../find/index.ts";
import type { Channel } from "./channel.ts";
import type { Declaration } from "./declarations.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** What a lane knows of one type of request. */
export interface LaneType {
  readonly declaration: Declaration;
  /** The state of all declarations that it was read from. */
  readonly generation: number;
  readonly budget: RetryBudget;
  /** Its number on the channel's link; undefined until it was named there. */
  target: number | undefined;
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
  /** As find named it last. */
  route: CompleteRoute;
  channel: Channel | undefined = undefined;
  readonly types = new Map<string, LaneType>();
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
    this.route = route;
  }

  get size(): number {
    return this.#size;
  }

  /** How this server is called where one of its addresses serves several. */
  get name(): string {
    return `${this.place} ${this.table}/${this.instance}`;
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
