import { type JsonValue, type Revision, formatRevision } from "../kernel/index.ts";
import type { Where } from "../tables/index.ts";

/** A server route of which the host step has been taken: everything that is needed to call the server. Frozen. */
export interface CompleteRoute {
  /** The key that was asked for. */
  readonly key: string;
  /** The server instance that was chosen. */
  readonly instance: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly data?: JsonValue;
  /** The revision of the row that was chosen. */
  readonly revision: Revision;
  /** How old the replica's position is, in milliseconds, when this property is read. */
  readonly ageMs: number;
  /** The others that could be called instead, in order. */
  readonly alternates: readonly CompleteRoute[];
  /** Where the key is a service instance whose servers keep one state together. */
  readonly group?: RouteGroup;
}

/** The ordering group behind an answer. Who writes looks at the row itself, in the table `groups`. */
export interface RouteGroup {
  readonly epoch: number;
  /** The server that orders and answers writes: the primary. */
  readonly synchronising: string;
}

export type FindPolicy = "round-robin" | "primary-first" | "weighted" | "rendezvous";

export interface FindOptions {
  readonly where?: Where;
  readonly policy?: FindPolicy;
  /** For `rendezvous`: equal seeds choose equal servers while these live. */
  readonly seed?: string;
}

/** One server over one route, before anybody asks for it under a key. */
export interface Reach {
  readonly instance: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly data?: JsonValue | undefined;
  readonly revision: Revision;
  readonly group?: RouteGroup;
}

/** Longer lists of alternates are made anew each time, so that a service of n servers does not hold n² references. */
const keptAlternatesMax = 64;

/**
 * The answers to one question: what `find` hands out and what each answer calls its alternates. A ring (the first of the
 * answers: the instances of a service that are handed out in turn) is read onwards from the answer and around, and what is to
 * be avoided follows it; else the order stands (a primary and its backups).
 */
export class AnswerSet {
  readonly answers: readonly RouteAnswer[];
  /** So many of the answers, from the first, are handed out in turn. */
  readonly #ring: number;
  readonly #ageMs: () => number;

  constructor(key: string, reaches: readonly Reach[], ring: number, ageMs: () => number) {
    this.#ring = ring;
    this.#ageMs = ageMs;
    this.answers = Object.freeze(reaches.map((reach, index) => new RouteAnswer(this, index, key, reach)));
    if (ring > 0) RouteAnswer.inCircle(this.answers.slice(0, ring));
  }

  get ageMs(): number {
    return this.#ageMs();
  }

  others(index: number): readonly RouteAnswer[] {
    const before = this.answers.slice(0, index);
    if (index >= this.#ring) return Object.freeze([...before, ...this.answers.slice(index + 1)]);
    return Object.freeze([...this.answers.slice(index + 1, this.#ring), ...before, ...this.answers.slice(this.#ring)]);
  }
}

/**
 * The answer that is handed out again and again; what few callers look at is worked out when they do. Answers that are handed
 * out in turn point at each other in a circle: following the pointer of an answer that the caller reads anyway costs one
 * cache miss, an index into an array of answers costs three.
 */
export class RouteAnswer implements CompleteRoute {
  readonly key: string;
  readonly instance: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
  declare readonly data?: JsonValue;
  declare readonly group?: RouteGroup;
  readonly revision: Revision;
  readonly #set: AnswerSet;
  readonly #index: number;
  #following: RouteAnswer;
  #alternates: readonly RouteAnswer[] | undefined;

  constructor(set: AnswerSet, index: number, key: string, reach: Reach) {
    this.key = key;
    this.instance = reach.instance;
    this.host = reach.host;
    this.address = reach.address;
    this.port = reach.port;
    if (reach.data !== undefined) this.data = reach.data;
    if (reach.group !== undefined) this.group = reach.group;
    this.revision = reach.revision;
    this.#set = set;
    this.#index = index;
    this.#following = this;
    Object.freeze(this);
  }

  get ageMs(): number {
    return this.#set.ageMs;
  }

  /** Who is handed out next: itself, unless `inCircle` was called. */
  get following(): RouteAnswer {
    return this.#following;
  }

  /** Joins answers of one set, in their order and around. */
  static inCircle(answers: readonly RouteAnswer[]): void {
    let previous = answers[answers.length - 1];
    for (const answer of answers) {
      if (previous !== undefined) previous.#following = answer;
      previous = answer;
    }
  }

  get alternates(): readonly CompleteRoute[] {
    if (this.#alternates !== undefined) return this.#alternates;
    const others = this.#set.others(this.#index);
    if (others.length <= keptAlternatesMax) this.#alternates = others;
    return others;
  }

  /** The form of `find --json` and of the HTTP answers; alternates do not repeat their own. */
  toJSON(): Readonly<Record<string, JsonValue>> {
    const alternates = this.#set.others(this.#index).map((other) => other.#plain());
    const { group } = this;
    return { ...this.#plain(), ...(group === undefined ? {} : { group: { ...group } }), ageMs: this.ageMs, alternates };
  }

  #plain(): Readonly<Record<string, JsonValue>> {
    const { key, instance, host, address, port, data } = this;
    return { key, instance, host, address, port, ...(data === undefined ? {} : { data }), revision: formatRevision(this.revision) };
  }
}
