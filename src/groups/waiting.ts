import { assert } from "../kernel/index.ts";
import { sameBytes } from "./entry.ts";
import type { GroupLimits } from "./options.ts";
import type { RequestId, Settled, SlotClaim } from "./ports.ts";

/** Somebody who waits for the outcome of a request at this member. */
export interface Waiter {
  readonly settle: (settled: Settled) => void;
  readonly deadlineMonoMs: number;
  /** It does not want the request to run, only to know. */
  readonly asks: boolean;
}

/** What a copy brings. */
export interface Copy {
  readonly type: string;
  readonly body: Uint8Array;
  readonly digest: Uint8Array;
}

/** One request that this member knows of and that has no committed entry here. */
export interface Waiting {
  readonly id: RequestId;
  low: number;
  leaseRevision: string;
  slot: SlotClaim | undefined;
  /** Undefined when only questions about it have come. */
  copy: Copy | undefined;
  /** Until then it may be run. */
  copyUntilMonoMs: number;
  /** `held`: not before something else has happened (its lease becomes known, or ends). */
  state: "queued" | "held" | "running" | "ordered";
  readonly waiters: Waiter[];
}

/** Copies of one request that wait at a member; a further one takes the place of the first. */
const waitersMax = 16;
const elsewhere: Settled = { kind: "elsewhere" };

/**
 * The requests that wait at a member: in the order of arrival, each once however many copies come. At the synchronising host they
 * are run from here; at the others they wait for the entry with their id, for their deadline, or for this host's turn.
 */
export class WaitingRequests {
  readonly #limits: GroupLimits;
  readonly #all = new Map<string, Waiting>();
  readonly #runnable = new Map<string, Waiting>();
  #bytes = 0;
  #nextDeadlineMonoMs = Number.POSITIVE_INFINITY;

  constructor(limits: GroupLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#all.size;
  }

  get isFull(): boolean {
    return this.#all.size >= this.#limits.queueMax || this.#bytes >= this.#limits.queueBytesMax;
  }

  of(id: RequestId): Waiting | undefined {
    return this.#all.get(keyOf(id));
  }

  /** Adds a copy or a question. False: another request waits under this id. */
  add(
    request: Pick<Waiting, "id" | "low" | "leaseRevision" | "copy"> & { readonly slot?: SlotClaim | undefined },
    waiter: Waiter,
  ): boolean {
    const key = keyOf(request.id);
    let waiting = this.#all.get(key);
    if (waiting === undefined) {
      const { id, low, leaseRevision, slot } = request;
      waiting = { id, low, leaseRevision, slot, copy: undefined, copyUntilMonoMs: 0, state: "queued", waiters: [] };
      this.#all.set(key, waiting);
      this.#runnable.set(key, waiting);
    }
    if (request.copy !== undefined) {
      if (waiting.copy !== undefined && !sameBytes(waiting.copy.digest, request.copy.digest)) return false;
      if (waiting.copy === undefined) {
        waiting.copy = request.copy;
        this.#bytes += request.copy.body.length;
      }
      waiting.copyUntilMonoMs = Math.max(waiting.copyUntilMonoMs, waiter.deadlineMonoMs);
    }
    waiting.low = Math.max(waiting.low, request.low);
    waiting.leaseRevision = request.leaseRevision;
    if (request.slot !== undefined && request.slot.revision > (waiting.slot?.revision ?? 0)) waiting.slot = request.slot;
    if (waiting.waiters.length >= waitersMax) waiting.waiters.shift()?.settle(elsewhere);
    waiting.waiters.push(waiter);
    this.#nextDeadlineMonoMs = Math.min(this.#nextDeadlineMonoMs, waiter.deadlineMonoMs);
    return true;
  }

  /** The first one that may be run. */
  next(): Waiting | undefined {
    for (const waiting of this.#runnable.values()) return waiting;
    return undefined;
  }

  isAsked(waiting: Waiting): boolean {
    return waiting.waiters.some(({ asks }) => asks);
  }

  move(waiting: Waiting, state: Waiting["state"]): void {
    waiting.state = state;
    const key = keyOf(waiting.id);
    if (state === "queued") this.#runnable.set(key, waiting);
    else this.#runnable.delete(key);
  }

  /** What was held may be looked at again. */
  release(): void {
    for (const waiting of this.#all.values()) if (waiting.state === "held") this.move(waiting, "queued");
  }

  /** Ends it for all who wait. */
  end(waiting: Waiting, settledOf: (waiter: Waiter) => Settled): void {
    const key = keyOf(waiting.id);
    assert(this.#all.get(key) === waiting, "a request ends once");
    this.#all.delete(key);
    this.#runnable.delete(key);
    this.#bytes -= waiting.copy?.body.length ?? 0;
    for (const waiter of waiting.waiters.splice(0)) waiter.settle(settledOf(waiter));
  }

  /** Ends what `isMeant` as `elsewhere`. */
  endAll(isMeant: (waiting: Waiting) => boolean): void {
    for (const waiting of this.#all.values()) if (isMeant(waiting)) this.end(waiting, () => elsewhere);
  }

  /** Those of a slot end as it tells; undefined: they wait on. */
  endSlot(slot: number, settledOf: (claim: SlotClaim) => Settled | undefined): void {
    for (const waiting of this.#all.values()) {
      const settled = waiting.slot?.slot === slot ? settledOf(waiting.slot) : undefined;
      if (settled !== undefined) this.end(waiting, () => settled);
    }
  }

  endLease(lease: string, settledOf: (id: RequestId) => Settled): void {
    for (const waiting of this.#all.values()) if (waiting.id.lease === lease) this.end(waiting, () => settledOf(waiting.id));
  }

  /** Deadlines have passed: nobody waits any more, and what has not begun never does by these copies. */
  sweep(nowMonoMs: number): void {
    if (nowMonoMs < this.#nextDeadlineMonoMs) return;
    let nextMonoMs = Number.POSITIVE_INFINITY;
    for (const waiting of this.#all.values()) {
      const { waiters, state } = waiting;
      for (let at = waiters.length - 1; at >= 0; at--) {
        const waiter = waiters[at];
        if (waiter === undefined) continue;
        if (waiter.deadlineMonoMs > nowMonoMs) nextMonoMs = Math.min(nextMonoMs, waiter.deadlineMonoMs);
        else waiters.splice(at, 1)[0]?.settle(elsewhere);
      }
      if (waiters.length === 0 && (state === "queued" || state === "held")) this.end(waiting, () => elsewhere);
    }
    this.#nextDeadlineMonoMs = nextMonoMs;
  }
}

function keyOf({ lease, sequence }: RequestId): string {
  return `${lease}/${sequence}`;
}
