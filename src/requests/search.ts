import type { Clock } from "../kernel/index.ts";
import { DeadlineSweep } from "../link/index.ts";
import { tableNumbers } from "../tables/index.ts";
import type { PendingRequest } from "./pending-table.ts";
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
  #planned = false;

  constructor(ports: SearchPorts) {
    this.#ports = ports;
    this.#sweep = new DeadlineSweep(ports.clock, (nowMonoMs) => {
      const owing = this.#lookAtAll();
      if (this.#waiting.size === 0) return Number.POSITIVE_INFINITY;
      return owing ? nowMonoMs + payAgainMs : this.#next(nowMonoMs);
    });
  }

  add(request: PendingRequest): void {
    this.#waiting.add(request);
    const nowMonoMs = this.#ports.clock.monoMs();
    this.#sweep.watch(request.owes ? nowMonoMs + payAgainMs : this.#next(nowMonoMs));
  }

  remove(request: PendingRequest): void {
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

  /** Whether one of them waits for what its next attempt costs. */
  #lookAtAll(): boolean {
    const nowMonoMs = this.#ports.clock.monoMs();
    let owing = false;
    for (const group of this.#waiting.groups()) {
      let isVain = false;
      for (const request of [...group.requests]) {
        // Where one finds nothing, others that come from nowhere find nothing either.
        if (request.group !== group || (isVain && request.lane === undefined)) continue;
        this.#ports.look(request, nowMonoMs);
        if (request.group !== group) continue;
        if (request.owes) owing = true;
        else isVain ||= request.lane === undefined;
      }
    }
    return owing;
  }
}
