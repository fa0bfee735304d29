import type { Answers } from "./answers.ts";
import type { HostPath } from "./host-paths.ts";
import type { Named } from "./resolve.ts";
import type { RouteAnswer } from "./route.ts";

/**
 * The answers to one key, made once and handed out until a change touches them. A change of the table drops the memo; a change
 * of a host or a route is noticed when the memo is used again, by the hosts' versions.
 */
export class Memo {
  // The two fields that every lookup reads stand first: they share a cache line with the object's head.
  #upcoming: RouteAnswer | undefined;
  /** The state of the finder's hosts that the memo was last compared with. */
  generation: number;
  /** What the key named when the answers were made. */
  readonly named: Named;
  /** What `find` hands out in turn: one answer for a server or an instance, one for each instance of a service. */
  readonly turn: readonly RouteAnswer[];
  /** What `findAll` hands out. */
  readonly all: readonly RouteAnswer[];
  /** The weights of `turn`, for `weighted` and `rendezvous`. */
  readonly weights: readonly number[];
  /** `weighted`: how far behind its share each of `turn` is. */
  credit: Float64Array | undefined = undefined;
  /** The same key under conditions. */
  filtered: Map<string, Memo> | undefined = undefined;
  readonly #hosts: readonly HostPath[];
  readonly #versions: readonly number[];

  /** `start`: which of `turn` is handed out first. */
  constructor(named: Named, answers: Answers, hosts: readonly HostPath[], generation: number, start: number) {
    this.#upcoming = answers.turn[start % answers.turn.length];
    this.generation = generation;
    this.named = named;
    this.turn = answers.turn;
    this.all = answers.all;
    this.weights = answers.weights;
    this.#hosts = hosts;
    this.#versions = hosts.map((host) => host.version);
  }

  /** False when a host that the answers depend on has changed since; else the memo counts as compared with `generation`. */
  renew(generation: number): boolean {
    for (let index = 0; index < this.#hosts.length; index++) if (this.#hosts[index]?.version !== this.#versions[index]) return false;
    this.generation = generation;
    return true;
  }

  /** The next answer in turn; undefined when there is none. Allocates nothing. */
  take(): RouteAnswer | undefined {
    const answer = this.#upcoming;
    if (answer !== undefined) this.#upcoming = answer.following;
    return answer;
  }
}

/** The memos of one table. Answers, and the knowledge that there is none, are bounded apart: the second is cheap to provoke. */
export class TableMemos {
  readonly number: number;
  readonly #found = new Map<string, Memo>();
  readonly #missing = new Map<string, Memo>();
  /** Keys whose answers depend on more than the rows at and below them: any change of the table drops these. */
  readonly #foreign = new Set<string>();
  readonly #foundMax: number;
  readonly #missingMax: number;

  constructor(number: number, foundMax: number, missingMax: number) {
    this.number = number;
    this.#foundMax = foundMax;
    this.#missingMax = missingMax;
  }

  get size(): number {
    return this.#found.size + this.#missing.size;
  }

  found(key: string): Memo | undefined {
    return this.#found.get(key);
  }

  missing(key: string): Memo | undefined {
    return this.#missing.get(key);
  }

  set(key: string, memo: Memo, foreign: boolean): void {
    this.#drop(key);
    if (memo.turn.length > 0) keepWithin(this.#found, key, memo, this.#foundMax);
    else keepWithin(this.#missing, key, memo, this.#missingMax);
    if (foreign) this.#foreign.add(key);
  }

  /** A row has changed: the memos of its key and of all keys that it lies below are dropped. */
  touched(key: string): void {
    if (this.#found.size === 0 && this.#missing.size === 0) return;
    this.#drop(key);
    for (let dot = key.lastIndexOf("."); dot > 0; dot = key.lastIndexOf(".", dot - 1)) this.#drop(key.slice(0, dot));
    for (const foreign of this.#foreign) this.#drop(foreign);
    this.#foreign.clear();
  }

  #drop(key: string): void {
    if (!this.#found.delete(key)) this.#missing.delete(key);
  }
}

/** At the limit the oldest gives way. */
function keepWithin(memos: Map<string, Memo>, key: string, memo: Memo, memosMax: number): void {
  if (memos.size >= memosMax) {
    const oldest = memos.keys().next();
    if (oldest.done !== true) memos.delete(oldest.value);
  }
  memos.set(key, memo);
}
