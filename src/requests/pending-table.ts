import type { MusterError } from "../kernel/index.ts";
import type { FindOptions } from "../find/index.ts";
import type { Lane } from "./lane.ts";
import type { EncodedBody } from "./messages.ts";
import type { RequestBody, RequestCopies, RequestEffect, RequestOptions } from "./options.ts";
import type { RoutePlan } from "./route-plan.ts";
import type { CopySet } from "./spare.ts";
import type { CarriedTrace } from "./tracer.ts";
import type { TypeRecord } from "./type-record.ts";
import type { WaitingGroup } from "./waiting.ts";

/** A request that has no outcome yet. It is in the table from its call to its one outcome, and in at most one lane. */
export class PendingRequest {
  id = 0;
  readonly key: string;
  readonly type: string;
  readonly body: EncodedBody;
  readonly dueMonoMs: number;
  /** From its call to `dueMonoMs`. */
  readonly deadlineMs: number;
  readonly resolve: (answer: RequestBody) => void;
  readonly reject: (error: MusterError) => void;
  /** Where the key is looked up; undefined: in the one table that names it. */
  readonly table: string | undefined;
  readonly find: FindOptions | undefined;
  /** What the caller says of the type; counts as long as nobody has declared it. */
  readonly askedEffect: RequestEffect | undefined;
  /** How many copies go out; undefined: as its type is declared. */
  readonly askedCopies: RequestCopies | undefined;
  /** Undefined where nobody traces it. */
  readonly carried: CarriedTrace | undefined;
  /** One of several servers that are each asked this: once it is known as a write it fails. */
  neverWrite = false;
  /** The strictest that anybody has said so far. */
  effect: RequestEffect = "read";
  /** How many servers are to be asked, as far as anybody has said so far. */
  copying: RequestCopies = "none";
  /** How often it was sent, copies included. */
  attempts = 0;
  /** The number of the main copy's attempt. */
  attempt = 0;
  /** Bytes of the present attempt may have reached the server. */
  sent = false;
  sentMonoMs = 0;
  hasEnded = false;
  /** A former attempt may have begun: no later one can say that nothing has happened. */
  mayHaveRun = false;
  freeMoves = 0;
  /** It has left its lane in spirit: only a late answer is still taken from there. */
  givenUp = false;
  /** It waits until this budget pays for its next attempt. */
  owes: TypeRecord | undefined = undefined;
  /** A former attempt that the next server is told to drop, because it may come there by another way; 0 for none. */
  dropAttempt = 0;
  /** What the last attempt met. */
  failure: MusterError | undefined = undefined;
  /** Where it was sent, or will be once there is a connection. */
  lane: Lane | undefined = undefined;
  before: PendingRequest | undefined = undefined;
  after: PendingRequest | undefined = undefined;
  /** What find said last. */
  plan: RoutePlan | undefined = undefined;
  /** What is known of its type; undefined until it has a lane. */
  record: TypeRecord | undefined = undefined;
  /** Undefined as long as there is nothing to know of further copies. */
  copies: CopySet | undefined = undefined;
  /** Among those that look for a server. */
  group: WaitingGroup | undefined = undefined;
  /** Numbers of the datagrams that have said its attempts. */
  said: Map<number, number> | undefined = undefined;
  /** Takes the listener off the caller's signal. */
  release: (() => void) | undefined = undefined;

  constructor(
    key: string,
    type: string,
    body: EncodedBody,
    dueMonoMs: number,
    deadlineMs: number,
    options: RequestOptions | undefined,
    find: FindOptions | undefined,
    carried: CarriedTrace | undefined,
    resolve: (answer: RequestBody) => void,
    reject: (error: MusterError) => void,
  ) {
    this.key = key;
    this.type = type;
    this.body = body;
    this.dueMonoMs = dueMonoMs;
    this.deadlineMs = deadlineMs;
    this.table = options?.table;
    this.find = find;
    this.askedEffect = options?.effect;
    this.askedCopies = options?.copies;
    this.carried = carried;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** Whether anything of it can have begun. */
export function effectSoFar({ sent, copies }: PendingRequest): "maybe" | "none" {
  return sent || copies?.spares.some(({ isSent }) => isSent) === true ? "maybe" : "none";
}

/** It waits for no budget any more. */
export function settleDebt(request: PendingRequest): void {
  if (request.owes === undefined) return;
  request.owes.owing--;
  request.owes = undefined;
}

const slotsMin = 16;

/**
 * Pending requests by number, in an array that a number's low bits index: three times as fast as a Map for numbers that
 * count up. A number comes back after 2³² requests, so a late answer finds no request to mistake for its own.
 */
export class PendingTable {
  #slots: (PendingRequest | undefined)[] = emptySlots(slotsMin);
  #lastId = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Gives the request its number. */
  add(request: PendingRequest): void {
    // Half of the slots stay free, so the search for one ends after a step or two.
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let id = (this.#lastId + 1) >>> 0;
    while (this.#slots[id & mask] !== undefined) id = (id + 1) >>> 0;
    this.#lastId = id;
    this.#slots[id & mask] = request;
    this.#size++;
    request.id = id;
  }

  /** Undefined when the request has had its outcome. */
  get(id: number): PendingRequest | undefined {
    const request = this.#slots[id & (this.#slots.length - 1)];
    return request !== undefined && request.id === id ? request : undefined;
  }

  /** False when it was not there any more: then it has had its outcome. */
  remove(request: PendingRequest): boolean {
    const index = request.id & (this.#slots.length - 1);
    if (this.#slots[index] !== request) return false;
    this.#slots[index] = undefined;
    this.#size--;
    return true;
  }

  due(nowMonoMs: number): readonly PendingRequest[] {
    return this.#slots.filter((request) => request !== undefined && request.dueMonoMs <= nowMonoMs).flatMap((request) => request ?? []);
  }

  /** Infinity when there is none. */
  earliestDueMonoMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const request of this.#slots) if (request !== undefined && request.dueMonoMs < earliest) earliest = request.dueMonoMs;
    return earliest;
  }

  all(): readonly PendingRequest[] {
    return this.due(Number.POSITIVE_INFINITY);
  }

  /** Twice the slots; numbers keep their requests, because two that differed in fewer bits differ in more. */
  #grow(): void {
    const requests = this.#slots;
    this.#slots = emptySlots(requests.length * 2);
    for (const request of requests) if (request !== undefined) this.#slots[request.id & (this.#slots.length - 1)] = request;
  }
}

function emptySlots(count: number): (PendingRequest | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
