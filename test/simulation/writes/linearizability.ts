import { type Operation, type Value, apply, describeOperation } from "./history.ts";

/**
 * `undecided`: the search was given up after `stepsMax` steps; nothing follows from it. `longest` is the longest order that
 * was found in which every result fits, `stuck` what was invoked before all that is left had ended and fits nowhere behind it.
 */
export type Linearized =
  | { readonly verdict: "yes"; readonly steps: number }
  | { readonly verdict: "undecided"; readonly key: string; readonly steps: number }
  | {
      readonly verdict: "no";
      readonly key: string;
      readonly steps: number;
      readonly longest: readonly Operation[];
      readonly stuck: readonly Operation[];
    };

/**
 * Whether the writes and `latest` reads of a history can be put in one order, each at an instant between its invocation and its
 * response, so that every result is what the specification gives (Herlihy and Wing 1990). Keys are independent objects, so each
 * is searched alone (their theorem 1); the search is Wing and Gong's with Lowe's memory of what has been tried (as in porcupine).
 */
export function checkLinearizable(history: readonly Operation[], stepsMax = 2_000_000): Linearized {
  let steps = 0;
  let undecided: Linearized | undefined;
  const ordered = history.filter(({ kind }) => kind !== "session-read");
  for (const [key, operations] of Map.groupBy(ordered, ({ key: of }) => of)) {
    const found = new Search(operations, stepsMax).run(key);
    steps += found.steps;
    if (found.verdict === "no") return { ...found, steps };
    if (found.verdict === "undecided") undecided = found;
  }
  return undecided ?? { verdict: "yes", steps };
}

/** For the report of a seed that failed. */
export function describeLinearized(linearized: Linearized): string {
  switch (linearized.verdict) {
    case "yes":
      return "linearizable";
    case "undecided":
      return `undecided: the search over ${linearized.key} was given up after ${linearized.steps} steps`;
    case "no": {
      const list = (operations: readonly Operation[]) => operations.map((one) => `    ${describeOperation(one)}`).join("\n");
      return `the history of ${linearized.key} is not linearizable. The longest order that fits:\n${list(linearized.longest)}\n  then none of\n${list(linearized.stuck)}`;
    }
  }
}

/** A place in the list of events in order of time; an operation that has no response yet has none here either. */
interface Event {
  readonly number: number;
  readonly isCall: boolean;
  previous: Event | undefined;
  next: Event | undefined;
  /** Of a call. */
  response: Event | undefined;
}

interface Tried {
  readonly taken: Int32Array;
  readonly value: Value;
}

/** A step that may have to be taken back. */
interface Step {
  readonly call: Event;
  readonly before: Value;
}

class Search {
  readonly #operations: readonly Operation[];
  readonly #stepsMax: number;
  readonly #head: Event = { number: -1, isCall: false, previous: undefined, next: undefined, response: undefined };
  readonly #taken: Int32Array;
  #hash = 0;
  readonly #tried = new Map<string, Tried[]>();
  readonly #path: Step[] = [];
  #value: Value = null;
  /** Completed operations that have no place yet: what has no outcome need not have one. */
  #left: number;
  #longest: readonly Operation[] = [];

  constructor(operations: readonly Operation[], stepsMax: number) {
    this.#operations = operations;
    this.#stepsMax = stepsMax;
    this.#taken = new Int32Array((operations.length + 31) >> 5);
    this.#left = operations.filter(({ respondedMs }) => respondedMs !== undefined).length;
    this.#link();
  }

  run(key: string): Linearized {
    let steps = 0;
    let event = this.#head.next;
    while (this.#left > 0) {
      if (++steps > this.#stepsMax) return { verdict: "undecided", key, steps };
      if (event?.isCall === true) {
        if (this.#take(event)) event = this.#head.next;
        else event = event.next;
        continue;
      }
      // A response of something that has no place yet (or the end): the last choice was wrong.
      const back = this.#takeBack();
      if (back === undefined) return { verdict: "no", key, steps, longest: this.#longest, stuck: this.#stuck() };
      event = back.next;
    }
    return { verdict: "yes", steps };
  }

  #operation(number: number): Operation {
    const operation = this.#operations[number];
    if (operation === undefined) throw new Error(`there is no operation ${number}`);
    return operation;
  }

  /** Calls before responses of the same instant: what only touches counts as overlapping. */
  #link(): void {
    const events: { readonly atMs: number; readonly event: Event }[] = [];
    for (const [number, { invokedMs, respondedMs }] of this.#operations.entries()) {
      const call: Event = { number, isCall: true, previous: undefined, next: undefined, response: undefined };
      events.push({ atMs: invokedMs, event: call });
      if (respondedMs === undefined) continue;
      call.response = { number, isCall: false, previous: undefined, next: undefined, response: undefined };
      events.push({ atMs: respondedMs, event: call.response });
    }
    events.sort((a, b) => a.atMs - b.atMs || Number(b.event.isCall) - Number(a.event.isCall) || a.event.number - b.event.number);
    let last = this.#head;
    for (const { event } of events) {
      last.next = event;
      event.previous = last;
      last = event;
    }
  }

  /** Puts an operation next in the order, if its result fits there and this has not been tried. */
  #take(call: Event): boolean {
    const operation = this.#operation(call.number);
    const { value, result } = apply(operation, this.#value);
    const isKnown = call.response !== undefined;
    if (isKnown && result !== (operation.result ?? null)) return false;
    // Without an outcome and without effect it need not be anywhere.
    if (!isKnown && value === this.#value) return false;
    this.#flip(call.number);
    if (!this.#isNew(value)) {
      this.#flip(call.number);
      return false;
    }
    this.#path.push({ call, before: this.#value });
    this.#value = value;
    lift(call);
    if (call.response !== undefined) {
      lift(call.response);
      this.#left--;
    }
    if (this.#path.length > this.#longest.length) this.#longest = this.#path.map((step) => this.#operation(step.call.number));
    return true;
  }

  #takeBack(): Event | undefined {
    const step = this.#path.pop();
    if (step === undefined) return undefined;
    const { call, before } = step;
    this.#value = before;
    this.#flip(call.number);
    if (call.response !== undefined) {
      unlift(call.response);
      this.#left++;
    }
    unlift(call);
    return call;
  }

  #flip(number: number): void {
    this.#taken[number >> 5] = (this.#taken[number >> 5] ?? 0) ^ (1 << (number & 31));
    this.#hash ^= Math.imul(number + 1, 0x9e3779b1);
  }

  /** The hash only finds the place; what has been tried is compared as it is. */
  #isNew(value: Value): boolean {
    const key = `${this.#hash} ${value === null ? "" : `=${value}`}`;
    const tried = this.#tried.get(key);
    if (tried?.some(({ taken }) => taken.every((word, at) => word === this.#taken[at])) === true) return false;
    const one = { taken: this.#taken.slice(), value };
    if (tried === undefined) this.#tried.set(key, [one]);
    else tried.push(one);
    return true;
  }

  /** What could have come next in the longest order, and did not fit. */
  #stuck(): readonly Operation[] {
    const placed = new Set(this.#longest);
    const left = this.#operations.filter((one) => !placed.has(one));
    const firstEndMs = Math.min(...left.map(({ respondedMs }) => respondedMs ?? Number.POSITIVE_INFINITY));
    return left.filter(({ invokedMs }) => invokedMs <= firstEndMs);
  }
}

function lift(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event.next;
  if (event.next !== undefined) event.next.previous = event.previous;
}

function unlift(event: Event): void {
  if (event.previous !== undefined) event.previous.next = event;
  if (event.next !== undefined) event.next.previous = event;
}
