import { MusterError, SeededRandom, assert } from "../kernel/index.ts";
import { EventHeap, type HeapEvent } from "./event-heap.ts";

/** What an event is to the node that it happens to; on resume after a pause timers go before input, as in Node. */
export type EventKind = "timer" | "input" | "turn";

/** Who an event happens to. It decides when the event really runs, or that it never does. */
export interface EventOwner {
  /** Goes into the trace. */
  readonly number: number;
  receive(event: SimEvent): void;
}

export interface SimEvent extends HeapEvent {
  readonly kind: EventKind;
  readonly owner: EventOwner | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

export interface SimWorldOptions {
  /** A whole run follows from it. */
  readonly seed: number;
  /** Wall time at the beginning; a fixed date by default, so that runs repeat. */
  readonly startUnixMs?: number;
  /** A run that needs more events than this is taken for one that never ends. Default 50 million. */
  readonly eventsMax?: number;
}

const startUnixMsDefault = Date.UTC(2026, 0, 1);
const eventsMaxDefault = 50_000_000;
/** How many turns of Node's loop are asked for ahead; promises settle between any two of them all the same. */
const turnsAhead = 32;

interface Run {
  readonly untilMs: number;
  readonly met: (() => boolean) | undefined;
  readonly resolve: (met: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One thread of virtual time for a whole fleet. Events happen one by one in the order (time, insertion), each in a turn of
 * Node's own loop (`setImmediate`), so that every promise continuation finishes before the next event: code under test
 * runs unchanged. Nothing here knows what a network or a node is.
 */
export class SimWorld {
  readonly seed: number;
  readonly random: SeededRandom;
  readonly startUnixMs: number;
  readonly #heap = new EventHeap<SimEvent>();
  readonly #eventsMax: number;
  #nowMs = 0;
  #inserted = 0;
  #events = 0;
  #owners = 0;
  #run: Run | undefined;
  #failure: { readonly thrown: unknown } | undefined;
  #traceA = 0x811c9dc5;
  #traceB = 0x1000193;
  readonly #timeBits = new Int32Array(2);
  readonly #timeFloat = new Float64Array(this.#timeBits.buffer);

  constructor(options: SimWorldOptions) {
    this.seed = options.seed;
    this.random = new SeededRandom(options.seed);
    this.startUnixMs = options.startUnixMs ?? startUnixMsDefault;
    this.#eventsMax = options.eventsMax ?? eventsMaxDefault;
  }

  /** True time in milliseconds since the beginning; nodes see it through their own clocks only. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events have happened. */
  get events(): number {
    return this.#events;
  }

  /** How many events are planned. */
  get pending(): number {
    return this.#heap.size;
  }

  /** A hash over the time, the kind and the owner of every event, and over the notes: equal seeds give equal traces. */
  get trace(): string {
    return hex(this.#traceA) + hex(this.#traceB);
  }

  /** Makes something part of the trace: a position, an outcome. */
  note(text: string): void {
    for (let at = 0; at < text.length; at++) this.#mix(text.charCodeAt(at));
  }

  /** A number for an owner of events, unique in this world. */
  ownerNumber(): number {
    this.#owners++;
    return this.#owners;
  }

  /** Plans something that happens to nobody in particular: a fault, a check. */
  at(atMs: number, run: () => void): SimEvent {
    return this.plan(atMs, "timer", undefined, run);
  }

  after(delayMs: number, run: () => void): SimEvent {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Plans an event; one that is due already happens next, after those of this instant that were planned before. */
  plan(atMs: number, kind: EventKind, owner: EventOwner | undefined, run: () => void): SimEvent {
    // NaN would break the order of the heap, and with it every later run.
    assert(!Number.isNaN(atMs), "an event needs a time");
    this.#inserted++;
    const event: SimEvent = { atMs: Math.max(atMs, this.#nowMs), order: this.#inserted, index: -1, kind, owner, run, cancelled: false };
    this.#heap.push(event);
    return event;
  }

  cancel(event: SimEvent): void {
    event.cancelled = true;
    this.#heap.remove(event);
  }

  /** Ends the run, which rejects with `thrown`: for checks that are made in the continuation of a promise. The first call counts. */
  fail(thrown: unknown): void {
    this.#failure ??= { thrown };
  }

  /** Lets everything happen that is due up to that instant; afterwards `nowMs` is that instant. Rejects with what an event threw. */
  async run(untilMs: number): Promise<void> {
    await this.#start(untilMs, undefined);
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  /** `run` for so long. */
  async runFor(durationMs: number): Promise<void> {
    await this.run(this.#nowMs + durationMs);
  }

  /**
   * Runs until the predicate holds, which is asked between events, at most up to `limitMs` (an instant, not a duration). Returns
   * whether it held; then `nowMs` is the instant of the event that made it so.
   */
  async runUntil(predicate: () => boolean, limitMs: number): Promise<boolean> {
    const met = await this.#start(limitMs, predicate);
    if (!met) this.#nowMs = Math.max(this.#nowMs, limitMs);
    return met;
  }

  /** `run` without turns of Node's loop in between: for code that uses no promises. */
  runSync(untilMs: number): void {
    assert(this.#run === undefined, "the world is running already");
    for (let next = this.#heap.peek(); next !== undefined && next.atMs <= untilMs; next = this.#heap.peek()) this.#happen(next);
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #start(untilMs: number, met: (() => boolean) | undefined): Promise<boolean> {
    assert(this.#run === undefined, "the world is running already");
    return new Promise((resolve, reject) => {
      const run: Run = { untilMs, met, resolve, reject };
      this.#run = run;
      // Several immediates are kept in the queue: Node polls the system once for all of them, and still lets promises
      // settle after each.
      const turn = () => {
        if (this.#run !== run) return;
        setImmediate(turn);
        this.#step(run);
      };
      for (let ahead = 0; ahead < turnsAhead; ahead++) setImmediate(turn);
    });
  }

  #step(run: Run): void {
    try {
      if (this.#failure !== undefined) throw this.#failure.thrown;
      if (run.met?.() === true) {
        this.#finish(run, true);
        return;
      }
      const next = this.#heap.peek();
      if (next === undefined || next.atMs > run.untilMs) this.#finish(run, false);
      else this.#happen(next);
    } catch (error) {
      this.#run = undefined;
      run.reject(error);
    }
  }

  #finish(run: Run, met: boolean): void {
    this.#run = undefined;
    run.resolve(met);
  }

  #happen(event: SimEvent): void {
    this.#heap.pop();
    this.#nowMs = event.atMs;
    this.#events++;
    if (this.#events > this.#eventsMax)
      throw new MusterError("testing/too-many-events", `seed ${this.seed} needed more than ${this.#eventsMax} events`, {
        next: "look for something that plans itself again without letting time pass, or raise eventsMax",
      });
    this.#timeFloat[0] = event.atMs;
    this.#mix((this.#timeBits[0] ?? 0) ^ ((event.owner?.number ?? 0) * 4 + kindNumber(event.kind)));
    this.#mix(this.#timeBits[1] ?? 0);
    if (event.owner === undefined) event.run();
    else event.owner.receive(event);
  }

  #mix(word: number): void {
    this.#traceA = Math.imul(this.#traceA ^ word, 0x85ebca6b);
    this.#traceA ^= this.#traceA >>> 15;
    this.#traceB = Math.imul(this.#traceB ^ this.#traceA, 0xc2b2ae35);
    this.#traceB ^= this.#traceB >>> 13;
  }
}

function kindNumber(kind: EventKind): number {
  switch (kind) {
    case "timer":
      return 0;
    case "input":
      return 1;
    case "turn":
      return 2;
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
