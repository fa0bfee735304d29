/** A call of ours that waits for its answer. */
export interface PendingCall {
  id: number;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
  /** Infinity when it waits for ever. */
  readonly dueMonoMs: number;
  /** Takes the listener off the caller's signal. */
  release: (() => void) | undefined;
}

const slotsMin = 16;

/**
 * Calls by id, in an array that an id's low bits index: three times as fast as a Map for ids that count up, which is why
 * ids are given out here. An id is used again after 2³² calls, so a late answer finds no call to mistake for its own.
 */
export class PendingCalls {
  #slots: (PendingCall | undefined)[] = emptySlots(slotsMin);
  #lastId: number;
  #size = 0;

  /** Ids count up behind `lastId`. */
  constructor(lastId = 0) {
    this.#lastId = lastId;
  }

  get size(): number {
    return this.#size;
  }

  /** Gives the call its id. */
  add(call: PendingCall): number {
    // Half of the slots stay free, so the search for one ends after a step or two.
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    let id = (this.#lastId + 1) >>> 0;
    while (this.#slots[id & mask] !== undefined) id = (id + 1) >>> 0;
    this.#lastId = id;
    this.#slots[id & mask] = call;
    this.#size++;
    call.id = id;
    return id;
  }

  /** Removes the call with this id; `undefined` when it was answered or given up before. */
  take(id: number): PendingCall | undefined {
    const index = id & (this.#slots.length - 1);
    const call = this.#slots[index];
    if (call === undefined || call.id !== id) return undefined;
    this.#slots[index] = undefined;
    this.#size--;
    return call;
  }

  /** Removes and returns those that are due. */
  takeDue(nowMonoMs: number): PendingCall[] {
    const due = this.#slots.filter((call) => call !== undefined && call.dueMonoMs <= nowMonoMs);
    return due.flatMap((call) => this.take(call?.id ?? 0) ?? []);
  }

  /** Infinity when none has a deadline. */
  earliestDueMonoMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const call of this.#slots) if (call !== undefined && call.dueMonoMs < earliest) earliest = call.dueMonoMs;
    return earliest;
  }

  takeAll(): PendingCall[] {
    return this.takeDue(Number.POSITIVE_INFINITY);
  }

  /** Twice the slots; ids keep their calls, because two that differed in fewer bits differ in more. */
  #grow(): void {
    const calls = this.#slots;
    this.#slots = emptySlots(calls.length * 2);
    for (const call of calls) if (call !== undefined) this.#slots[call.id & (this.#slots.length - 1)] = call;
  }
}

function emptySlots(count: number): (PendingCall | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
