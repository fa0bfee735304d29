import { type Clock, MusterError, type Timer } from "../kernel/index.ts";
import { type Replica, type ReplicaObserver, type Where, isRouteValue, tableNumbers } from "../tables/index.ts";
import { checkCall } from "./call-options.ts";
import { stricter } from "./decide.ts";
import { type Declaration, declarationOf, serviceOf } from "./declarations.ts";
import { noMember } from "./declaration-errors.ts";
import { effectOfEncoded } from "./effect-rule.ts";
import * as errors from "./errors.ts";
import { type AskMember, Gather, type Gathered, type Until } from "./gather.ts";
import { badUntil, notARead } from "./gather-errors.ts";
import { type Membership, membershipOf } from "./membership.ts";
import { type EncodedBody, encodeBody } from "./messages.ts";
import type { RequestBody, RequestEffect, RequestOptions } from "./options.ts";
import { formatSubset, isInSubset } from "./subset.ts";
import { TableOfKey } from "./table-of-key.ts";

export interface GatherOptions {
  /**
   * When it is complete: every member has answered (`all`, the default), more than half of them (`quorum`), one (`first`), or so many. A
   * member that fails is made up for by another one as long as there are enough; with `all` the others are waited for nevertheless.
   */
  readonly until?: Until;
  /** From the call to its end; 1 ms … 1 h. Default 5,000. */
  readonly deadlineMs?: number;
  /** Where the key is looked up. Default: the one table that names it. */
  readonly table?: string;
  /** For a type that nobody has declared; of a declared one the stricter counts. */
  readonly effect?: RequestEffect;
  /** Attributes that members must have besides. */
  readonly where?: Where;
  /** Gives up: the promise rejects with `requests/aborted`, the handlers' signals are aborted. */
  readonly signal?: AbortSignal;
  /** As of `request`. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

export interface GathererPorts {
  readonly clock: Clock;
  readonly replica: Replica;
  /** Asks one member, by a request of its own, which finds the member's routes and never goes out as a write. */
  readonly askMember: (server: string, type: string, encoded: EncodedBody, options: RequestOptions) => Promise<RequestBody>;
  /** What `act` asks goes out together, by multicast where that is heard. */
  readonly together: (act: () => void) => void;
}

/** One gather, from its call to its end. */
interface Course {
  readonly key: string;
  readonly type: string;
  readonly encoded: EncodedBody;
  readonly options: GatherOptions;
  readonly until: Until;
  readonly dueMonoMs: number;
  readonly settle: (gathered: Gathered) => void;
  readonly fail: (error: MusterError) => void;
  timer: Timer | undefined;
  /** Once its members are known. */
  gather: Gather | undefined;
  table: string;
  tableNumber: number;
}

/**
 * Asks every member of a type's subset: each answer is transmitted, and whoever asked knows who is missing. Members are those of the
 * moment at which the first of them can be asked; one that leaves the roll or the subset afterwards is missing at once.
 */
export class Gatherer {
  readonly #ports: GathererPorts;
  readonly #courses = new Set<Course>();
  readonly #unobserve: () => void;
  #planned = false;
  #closed = false;

  constructor(ports: GathererPorts) {
    this.#ports = ports;
    const observer: ReplicaObserver = {
      touched: (table, key) => {
        if (this.#courses.size > 0 && this.#concerns(table, key)) this.#soon();
      },
      host: () => this.#soon(),
      reset: () => this.#soon(),
    };
    this.#unobserve = ports.replica.observe(observer);
  }

  /** Gathers under way. */
  get size(): number {
    return this.#courses.size;
  }

  /**
   * Resolves with what the members have answered, complete or not. Rejects when nothing could be asked: `requests/not-a-read`,
   * `requests/no-server` at the deadline, `requests/aborted`, and what `request` refuses (`requests/bad-…`).
   */
  gather(key: string, type: string, body: RequestBody | undefined, options: GatherOptions = {}): Promise<Gathered> {
    return new Promise((resolve, reject) => {
      const { until = "all", signal } = options;
      if (this.#closed) throw errors.closed("none");
      if (!(until === "all" || until === "quorum" || until === "first" || (Number.isInteger(until) && until >= 1))) throw badUntil(until);
      const deadlineMs = checkCall(key, type, options);
      const abort = () => course.fail(errors.aborted(key, type, course.gather === undefined ? "none" : "maybe", signal?.reason));
      const end = () => {
        this.#courses.delete(course);
        course.timer?.cancel();
        signal?.removeEventListener("abort", abort);
      };
      const course: Course = {
        key,
        type,
        encoded: encodeBody(body, "none"),
        options,
        until,
        dueMonoMs: this.#ports.clock.monoMs() + deadlineMs,
        settle: (gathered) => {
          end();
          resolve(gathered);
        },
        fail: (error) => {
          end();
          course.gather?.cancel(error);
          reject(error);
        },
        timer: undefined,
        gather: undefined,
        table: "",
        tableNumber: 0,
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#courses.add(course);
      this.#look(course);
    });
  }

  /** Ends what is under way. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve();
    for (const course of [...this.#courses]) course.fail(errors.closed(course.gather === undefined ? "none" : "maybe"));
  }

  /** Asks the members as soon as there is one that can be asked. */
  #look(course: Course): void {
    try {
      const membership = this.#membershipOf(course);
      if (membership !== undefined && membership.asked.length > 0) this.#ask(course, membership);
      else this.#wait(course, membership);
    } catch (thrown) {
      if (!(thrown instanceof MusterError)) throw thrown;
      course.fail(thrown);
    }
  }

  /** Undefined while no table names the key. Throws `requests/ambiguous-key`. */
  #membershipOf(course: Course): Membership | undefined {
    const { replica } = this.#ports;
    const { key, type, options } = course;
    const table = options.table ?? new TableOfKey(replica).of(key);
    const definition = table === undefined ? undefined : replica.table(table);
    if (definition === undefined) return undefined;
    course.table = definition.name;
    course.tableNumber = definition.number;
    return membershipOf(replica, definition.name, key, type, options.where);
  }

  #ask(course: Course, { declaration, servers, missing }: Membership): void {
    const { clock, askMember, together } = this.#ports;
    const { key, type, encoded, options, until, dueMonoMs, table } = course;
    const effect = effectOf(declaration, options.effect, encoded);
    if (effect === "write") throw notARead(key, type);
    course.timer?.cancel();
    const gather = new Gather(servers, missing, until, course.settle);
    course.gather = gather;
    const deadlineMs = Math.max(1, dueMonoMs - clock.monoMs());
    const { traceparent, tracestate } = options;
    const trace = traceparent === undefined ? {} : { traceparent, ...(tracestate === undefined ? {} : { tracestate }) };
    const askOne: AskMember = (server, signal) =>
      askMember(server, type, encoded, { table, deadlineMs, effect, copies: "none", signal, ...trace });
    together(() => gather.ask(askOne));
  }

  #wait(course: Course, membership: Membership | undefined): void {
    const { clock } = this.#ports;
    course.timer ??= clock.schedule(Math.max(0, course.dueMonoMs - clock.monoMs()), () => {
      const { key, type } = course;
      const { declaration, missing } = this.#membershipOf(course) ?? membership ?? { declaration: undefined, missing: [] };
      const subset = declaration?.subset;
      const [first] = missing;
      const cause = first?.error ?? (subset === undefined ? undefined : noMember(key, type, formatSubset(subset)));
      course.fail(errors.noServer(key, type, cause === undefined ? "" : `: ${cause.message}`));
    });
  }

  /** Whether a change of the row may say something about a member, or make one. */
  #concerns(table: number, key: string): boolean {
    if (table === tableNumbers.requestTypes) return true;
    if (table === tableNumbers.hosts || table === tableNumbers.states || table === tableNumbers.groups) return this.#isAnyWaiting();
    for (const { gather, tableNumber } of this.#courses)
      if (gather === undefined || (tableNumber === table && gather.isPending(key))) return true;
    return false;
  }

  #isAnyWaiting(): boolean {
    for (const { gather } of this.#courses) if (gather === undefined) return true;
    return false;
  }

  /** Looks once the change at hand was applied everywhere. */
  #soon(): void {
    if (this.#planned || this.#courses.size === 0) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      for (const course of [...this.#courses])
        if (course.gather === undefined) this.#look(course);
        else this.#review(course, course.gather);
    });
  }

  /** Whoever has left the roll or the subset is not waited for. */
  #review(course: Course, gather: Gather): void {
    const { replica } = this.#ports;
    const gone = gather.pending.filter((server) => !replica.isValid(course.tableNumber, server));
    for (const server of gone) gather.lost(server, errors.serverGone(server, "it has left the roll, or is invalid"));
    for (const server of gather.pending) {
      const { subset } = declarationOf(replica, serviceOf(server), course.type);
      const value = replica.entry(course.tableNumber, server)?.value;
      if (subset === undefined || value === undefined || !isRouteValue(value)) continue;
      const { host, port, data } = value;
      if (!isInSubset(subset, { instance: server, host, port, data }))
        gather.lost(server, noMember(server, course.type, formatSubset(subset)));
    }
  }
}

function effectOf({ effect, rule, sequence }: Declaration, asked: RequestEffect | undefined, body: EncodedBody): RequestEffect {
  if (sequence === 0) return asked ?? "write";
  return stricter(rule === undefined ? effect : effectOfEncoded(rule, body), asked ?? "read");
}
