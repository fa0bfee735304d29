import type { Clock } from "../kernel/index.ts";
import { DeadlineSweep } from "../link/index.ts";
import { tableNumbers } from "../tables/index.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { TypeRecord } from "./type-record.ts";
import { WaitingRequests } from "./waiting.ts";

export interface SearchPorts {
  readonly clock: Clock;
  /** Looks for a place for the request; takes it out of the search when there is one. */
  readonly look: (request: PendingRequest, nowMonoMs: number) => void;
  /** When something that is avoided comes back. */
  readonly nextMonoMs: (nowMonoMs: number) => number;
}

/** While requests wait the roll is looked at this often, besides at each change that concerns them. */
const lookAgainMs = 250;
/** As often as the budget may pay for another attempt. */
const payAgainMs = 20;

/** Requests that have no server, or would rather have another one, and when it is worth to look again. */
export class Search {
  readonly #ports: SearchPorts;
  readonly #waiting = new WaitingRequests();
  readonly #sweep: DeadlineSweep;
  /** Those that wait for what their next attempt costs, longest first. */
  readonly #owing = new Set<PendingRequest>();
  #planned = false;
  /** When all are looked at again. */
  #allMonoMs = Number.POSITIVE_INFINITY;

  constructor(ports: SearchPorts) {
    this.#ports = ports;
    this.#sweep = new DeadlineSweep(ports.clock, (nowMonoMs) => {
      this.#lookAtOwing(nowMonoMs);
      if (nowMonoMs >= this.#allMonoMs) {
        this.#lookAtAll();
        this.#allMonoMs = this.#next(nowMonoMs);
      }
      if (this.#waiting.size === 0) {
        this.#allMonoMs = Number.POSITIVE_INFINITY;
        return this.#allMonoMs;
      }
      return this.#owing.size > 0 ? Math.min(nowMonoMs + payAgainMs, this.#allMonoMs) : this.#allMonoMs;
    });
  }

  add(request: PendingRequest): void {
    this.#waiting.add(request);
    const nowMonoMs = this.#ports.clock.monoMs();
    this.#allMonoMs = Math.min(this.#allMonoMs, this.#next(nowMonoMs));
    if (request.owes !== undefined) this.#owing.add(request);
    this.#sweep.watch(request.owes === undefined ? this.#allMonoMs : nowMonoMs + payAgainMs);
  }

  remove(request: PendingRequest): void {
    this.#owing.delete(request);
    if (request.group !== undefined) this.#waiting.remove(request);
  }

  /** A row has changed that may name a server. */
  rowChanged(table: number, key: string): void {
    if (this.#waiting.size === 0 || this.#planned) return;
    if (table === tableNumbers.hosts || table === tableNumbers.hostRoute || this.#waiting.concerns(key)) this.soon();
  }

  /** Looks once the change at hand was applied everywhere. */
  soon(): void {
    if (this.#planned || this.#waiting.size === 0) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#lookAtAll();
    });
  }

  stop(): void {
    this.#sweep.stop();
  }

  #next(nowMonoMs: number): number {
    return Math.min(nowMonoMs + lookAgainMs, this.#ports.nextMonoMs(nowMonoMs));
  }

  /** At no more than their budgets pay for; whoever finds no server stands at the end of the queue. */
  #lookAtOwing(nowMonoMs: number): void {
    const left = new Map<TypeRecord, number>();
    for (const request of [...this.#owing]) {
      const { owes } = request;
      if (owes === undefined) this.#owing.delete(request);
      if (owes === undefined || !this.#owing.has(request)) continue;
      const looks = left.get(owes) ?? Math.floor(owes.budget.saved);
      if (looks < 1) continue;
      left.set(owes, looks - 1);
      this.#ports.look(request, nowMonoMs);
      if (this.#owing.delete(request)) this.#owing.add(request);
    }
  }

  #lookAtAll(): void {
    const nowMonoMs = this.#ports.clock.monoMs();
    for (const group of this.#waiting.groups()) {
      let isVain = false;
      for (const request of [...group.requests]) {
        // Where one finds nothing, others that come from nowhere find nothing either.
        if (request.group !== group || (isVain && request.lane === undefined)) continue;
        this.#ports.look(request, nowMonoMs);
        if (request.group !== group) continue;
        isVain ||= request.owes === undefined && request.lane === undefined;
      }
    }
  }
}
