import { MusterError, errorOf } from "../kernel/index.ts";
import { notAwaited } from "./gather-errors.ts";
import type { MissingMember } from "./membership.ts";
import type { RequestBody } from "./options.ts";

/** How many answers there must be. */
export type Until = "all" | "quorum" | "first" | number;

/** What one server of the subset has answered. */
export interface GatheredAnswer {
  readonly server: string;
  /** Its place among the members, from 0. */
  readonly index: number;
  readonly answer: RequestBody;
}

/** How a gather ended. */
export interface Gathered {
  /** In the order in which they came. */
  readonly answers: readonly GatheredAnswer[];
  /** Members without an answer, each with its reason: it left, failed, took too long (`requests/deadline-exceeded`), or nobody waited any more. */
  readonly missing: readonly MissingMember[];
  /** There are as many answers as were wanted. */
  readonly complete: boolean;
  /** Members, answered or not. */
  readonly size: number;
}

/** Asks one member; what it returns is settled once. `signal` takes the question back, with the reason that its handler is told. */
export type AskMember = (server: string, signal: AbortSignal) => Promise<RequestBody>;

export function wantedOf(until: Until, size: number): number {
  switch (until) {
    case "all":
      return size;
    case "quorum":
      return Math.floor(size / 2) + 1;
    case "first":
      return 1;
    default:
      return until;
  }
}

/**
 * One question to several servers, from the moment at which they are asked to its one end: there are enough answers, there cannot be
 * enough any more, or every member has said its last word. `all` is never given up early: whoever wants all of them takes what there is.
 */
export class Gather {
  readonly #servers: readonly string[];
  readonly #wanted: number;
  readonly #collectsAll: boolean;
  readonly #pending = new Map<string, AbortController>();
  readonly #answers: GatheredAnswer[] = [];
  readonly #missing: MissingMember[];
  readonly #ended: (gathered: Gathered) => void;
  #hasEnded = false;

  /** `servers`: all members; `missing`: those of them that are not asked. `ended` is called once, perhaps within `ask`. */
  constructor(servers: readonly string[], missing: readonly MissingMember[], until: Until, ended: (gathered: Gathered) => void) {
    this.#servers = servers;
    this.#missing = [...missing];
    this.#wanted = wantedOf(until, servers.length);
    this.#collectsAll = until === "all";
    this.#ended = ended;
  }

  /** Members that have not said their last word. */
  get pending(): readonly string[] {
    return [...this.#pending.keys()];
  }

  isPending(server: string): boolean {
    return this.#pending.has(server);
  }

  /** Asks all members that are not missing. */
  ask(askMember: AskMember): void {
    const absent = new Set(this.#missing.map(({ server }) => server));
    const asked = this.#servers.filter((server) => !absent.has(server));
    for (const server of asked) this.#pending.set(server, new AbortController());
    this.#judge();
    for (const [server, { signal }] of [...this.#pending])
      askMember(server, signal).then(
        (answer) => this.#answered(server, answer),
        (thrown: unknown) => this.lost(server, asMusterError(thrown)),
      );
  }

  /** The member will not answer: nobody waits for it any more. */
  lost(server: string, error: MusterError): void {
    const controller = this.#pending.get(server);
    if (controller === undefined) return;
    this.#pending.delete(server);
    this.#missing.push({ server, error });
    controller.abort(error);
    this.#judge();
  }

  /** Ends it without a result: whoever asked has another one. */
  cancel(error: MusterError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#takeBack(error.message);
  }

  #answered(server: string, answer: RequestBody): void {
    if (!this.#pending.delete(server)) return;
    this.#answers.push({ server, index: this.#servers.indexOf(server), answer });
    this.#judge();
  }

  #judge(): void {
    if (this.#hasEnded) return;
    const isEnough = this.#answers.length >= this.#wanted;
    const isHopeless = this.#answers.length + this.#pending.size < this.#wanted;
    if (this.#pending.size > 0 && !(isEnough || (isHopeless && !this.#collectsAll))) return;
    this.#hasEnded = true;
    this.#takeBack(isEnough ? "enough others have answered" : `${this.#wanted} answers cannot come together any more`);
    const byServer = (one: MissingMember, other: MissingMember) => (one.server < other.server ? -1 : 1);
    this.#ended({
      answers: this.#answers,
      missing: this.#missing.toSorted(byServer),
      complete: isEnough && this.#answers.length > 0,
      size: this.#servers.length,
    });
  }

  #takeBack(why: string): void {
    const left = [...this.#pending];
    this.#pending.clear();
    for (const [server, controller] of left) {
      const error = notAwaited(server, why);
      this.#missing.push({ server, error });
      controller.abort(error);
    }
  }
}

function asMusterError(thrown: unknown): MusterError {
  if (thrown instanceof MusterError) return thrown;
  throw errorOf(thrown);
}
