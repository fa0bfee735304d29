import type { JsonValue, Revision } from "../kernel/index.ts";
import type { GatherOptions, Gathered, RequestBody, RequestMetrics, ServedType, TraceContext } from "../requests/index.ts";
import type { GroupRequestOptions, GroupServeOptions, ServedMember, WriteOutcome } from "./group.ts";

/** One row of a table, as a program sees it. Frozen; `value` is parsed when it is first looked at. */
export interface Entry {
  readonly table: string;
  readonly key: string;
  readonly value: JsonValue;
  /** False when the entry says so, or when the host that its route names is gone. */
  readonly valid: boolean;
  readonly revision: Revision;
  /** The node that watches the live program behind a bound entry; null for a standing entry. */
  readonly owner: string | null;
}

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
  /** Where the key is a service instance whose servers keep one state together: its ordering group. */
  readonly group?: { readonly epoch: number; readonly synchronising: string };
}

export type FindPolicy = "round-robin" | "primary-first" | "weighted" | "rendezvous";

/** Attributes that an entry's value must have (`value.data` for server routes, else `value`). All must hold. */
export type Where = Readonly<Record<string, string | number | boolean>>;

export interface FindOptions {
  readonly where?: Where;
  readonly policy?: FindPolicy;
  /** For `rendezvous`: equal seeds choose equal servers while these live. */
  readonly seed?: string;
}

/** A server route as data: `HOST9:1872` on the command line. */
export interface ServerRoute {
  readonly host: string;
  readonly port: number;
  readonly data?: JsonValue;
}

export type Operation =
  | { readonly op: "add"; readonly table: string; readonly key: string; readonly value: JsonValue; readonly valid?: boolean }
  | { readonly op: "delete"; readonly table: string; readonly key: string; readonly force?: boolean }
  | { readonly op: "set-valid"; readonly table: string; readonly key: string; readonly valid: boolean };

export interface ChangeOptions {
  /** Every listed row must still be at that revision ("epoch.sequence"; "absent" when there must be none). */
  readonly ifRevision?: readonly { readonly table: string; readonly key: string; readonly revision: string }[];
  /** Carried from the start; needs tables declared `leased`, which come with coherent copies. */
  readonly coherent?: boolean;
  readonly signal?: AbortSignal;
}

export interface TableOptions {
  /** A symbolic name besides the plain one, e.g. `DSD_MTID_CACHE`. */
  readonly symbol?: string;
  /** Makes it a partition table: how a key that is not in it is mapped before the second look. */
  readonly mapping?: string;
  /** For a partition table: the table that its values are keys of. Default: the name without `-partition`. */
  readonly servers?: string;
  /** Attributes that `where` selects by often: they are indexed. */
  readonly index?: readonly string[];
}

/** What happens when a bound entry's heartbeat does not come in time. */
export type Expiry =
  | { readonly action: "invalidate" }
  | { readonly action: "delete" }
  | { readonly action: "add"; readonly table: string; readonly key: string; readonly value: JsonValue }
  /** A hook that the agent's configuration names; nothing else can be called. */
  | { readonly action: "hook"; readonly name: string };

export interface HeartbeatOptions {
  /** The next heartbeat is expected within this time; 100 ms … 1 h. */
  readonly maxPeriodMs: number;
  /** Default `{ action: "invalidate" }`. */
  readonly onExpiry?: Expiry;
}

export interface FleetEvent {
  /** `Add` also when changed; `Subscribe`: some events were discarded, read the tables again. */
  readonly event: "Add" | "Delete" | "Subscribe";
  readonly table: string;
  /** The row as it is now (`Add`) or as it last was (`Delete`). */
  readonly entry?: Entry;
}

export interface SubscribeOptions<Context> {
  readonly tables: readonly string[];
  readonly prefix?: string;
  readonly context?: Context;
  /** Events kept for a handler that returns promises; the overflow becomes one `Subscribe`. Default 1,024. */
  readonly eventsMax?: number;
}

export interface Subscription {
  /** After this returns, no call of the handler follows. Idempotent. */
  cancel(): void;
}

export interface ServeOptions {
  /** With `types`, 0 picks a free one: the route on the roll names it. */
  readonly port: number;
  /**
   * What this server answers, by type of request: declared on the roll with its effect, so that every caller knows what is safe to
   * repeat, and answered on the addresses of the host's routes. Without it the program answers on its port itself.
   */
  readonly types?: Readonly<Record<string, ServedType>>;
  /** With `types`: so many requests are worked on at a time, the others wait in the order in which they came. Default: no limit. */
  readonly concurrency?: number;
  /** Instead of the host's routes: the address to take requests on, e.g. `0.0.0.0`. */
  readonly listen?: string;
  /** Default: the host of the agent that this program is connected to. */
  readonly host?: string;
  /** Attributes and protocol data. */
  readonly data?: JsonValue;
  /** False registers the entry without making it valid yet: a health check decides. Default true. */
  readonly valid?: boolean;
  /** Default 3,000 ms; heartbeats leave three times as often. */
  readonly maxPeriodMs?: number;
  readonly onExpiry?: Expiry;
  /**
   * Called when the entry closes, once no new work reaches it: resolves when the requests under way have been answered. The signal
   * is aborted after `drainMs`; then the entry ends without them.
   */
  readonly drain?: (signal: AbortSignal) => void | Promise<void>;
  /** Default 10,000 ms. */
  readonly drainMs?: number;
}

export interface ServedEntry {
  readonly table: string;
  readonly key: string;
  /** Changes what is on the roll. `because`: with `valid: false`, the state and its reason for `muster why`, in the same change. */
  update(changes: {
    readonly data?: JsonValue;
    readonly valid?: boolean;
    readonly because?: { readonly state: "dead" | "hung"; readonly reason: string };
  }): Promise<void>;
  /**
   * Takes the entry off the roll: it is `draining` first, until every attached node has applied that (at most a second, and not
   * without a directory), then `drain` is awaited, then it is gone. Idempotent.
   */
  close(): Promise<void>;
}

export interface DrainOptions {
  /** Takes it back into use instead. */
  readonly off?: boolean;
  /** The table of the key, when more than one has it. */
  readonly table?: string;
  /** How long to wait for all attached nodes; default 5,000 ms. */
  readonly deadlineMs?: number;
  /** For people; at most 500 characters. */
  readonly reason?: string;
  readonly signal?: AbortSignal;
}

export interface DrainResult {
  /** What is marked, or not any more, as `TABLE/KEY`; a host is `hosts/HOST9`. Empty: nothing of it was draining. */
  readonly entries: readonly string[];
  /** The newest of the changes; undefined when nothing was changed. */
  readonly revision: Revision | undefined;
  /** Nodes that could not be asked because they are detached. */
  readonly detached: number;
}

export interface SettleResult {
  /** Nodes that could not be asked because they are detached. */
  readonly detached: number;
}

/** What a program's handle has counted. */
export interface FleetMetrics {
  readonly requests: RequestMetrics;
}

/** A program's handle on the roll: a live replica with synchronous lookups, and a way to write. */
export interface Fleet extends AsyncDisposable {
  /** The host that this program runs on, as its agent is called; undefined without an agent. */
  readonly host: string | undefined;
  readonly position: Revision;
  /** True while no newer tick of the directory arrives: lookups go on, their age grows. */
  readonly detached: boolean;
  readonly ageMs: number;

  tables(): readonly { readonly name: string; readonly symbol?: string; readonly mapping?: string; readonly entries: number }[];
  get(table: string, key: string): Entry | undefined;
  /** Raw leading characters; the empty prefix is the whole table. In key order. */
  search(table: string, prefix?: string, options?: { readonly where?: Where }): readonly Entry[];
  find(table: string, key: string, options?: FindOptions): CompleteRoute | undefined;
  findAll(table: string, key: string, options?: FindOptions): readonly CompleteRoute[];
  findPartition(table: string, key: string | number, options?: FindOptions): CompleteRoute | undefined;

  addTable(name: string, options?: TableOptions): Promise<Revision>;
  removeTable(name: string): Promise<Revision>;
  add(table: string, key: string, value: JsonValue | ServerRoute, options?: { readonly valid?: boolean }): Promise<Revision>;
  delete(table: string, key: string, options?: { readonly force?: boolean }): Promise<Revision>;
  change(operations: readonly Operation[], options?: ChangeOptions): Promise<Revision>;
  /** Binds the entry to this program, sets it valid, and expects the next call within `maxPeriodMs`. */
  heartbeat(table: string, key: string, options: HeartbeatOptions): Promise<void>;
  subscribe<Context = undefined>(
    options: SubscribeOptions<Context>,
    handler: (event: FleetEvent, context: Context) => void | Promise<void>,
  ): Subscription;
  /**
   * With `group`: serves one server of a service instance ("MDS.1.2" of "MDS.1") that keeps one state together with the others. Writes
   * are ordered, run at one of them and made durable at all; an answer leaves when they are. Resolves when this server takes part.
   * Rejects with `fleet/foreign-data` for the directory of another server, `fleet/bad-group`, `fleet/not-in-a-group`, `storage/*`.
   */
  serve(table: string, key: string, options: GroupServeOptions): Promise<ServedMember>;
  serve(table: string, key: string, options: ServeOptions): Promise<ServedEntry>;
  /**
   * Takes a server, the members of a service instance or a whole host out of use: lookups pass over them while others are left.
   * Resolves when every attached node has applied that, so that no new work goes there; work under way goes on. A server's mark
   * lasts until `off`, or until another program holds its key; a host's until `off`. Rejects with `fleet/no-such-target`, `fleet/ambiguous-target`, or `fleet/not-settled` (effect "done") after `deadlineMs`.
   */
  drain(target: string, options?: DrainOptions): Promise<DrainResult>;
  /**
   * Asks one server of `key` (found in the replica) and resolves with its answer. A failure of the server or of the route moves a read or
   * repeatable request to another one, before the deadline; a write moves only while it has not been sent. Ends once: with the answer, or
   * with a MusterError whose `effect` says whether it can have run (`requests/unknown` when nobody can know). Bodies and answers: JSON or
   * bytes, at most 4 MiB less 1 KiB. Codes: `requests/*` in docs/errors.md.
   */
  request(key: string, type: string, body?: RequestBody, options?: GroupRequestOptions): Promise<RequestBody>;
  /**
   * Asks every server of `key` that is in the subset of the type, and resolves with what each has answered and who is missing, as soon as `until`
   * is reached or cannot be reached any more, at the latest at the deadline. A member that fails only adds to the missing; one that leaves the roll
   * or the subset meanwhile is missing at once. When it ends, whoever has not begun never begins, and handlers at work are told. Only for reads and
   * repeatable requests (`requests/not-a-read`); without a member it waits for one (`requests/no-server`).
   */
  gather(key: string, type: string, body?: RequestBody, options?: GatherOptions): Promise<Gathered>;
  /**
   * What became of a write to a service whose servers keep their state in an ordering group, by the `requestId` of its error or of its
   * handler's context. A write that nobody has begun is abandoned by this: it never runs afterwards. Rejects with
   * `requests/deadline-exceeded` when nobody could say so within `deadlineMs` (default 5,000), and `fleet/bad-request-id`.
   */
  outcome(requestId: string, options?: { readonly deadlineMs?: number }): Promise<WriteOutcome>;
  /**
   * For clients of other protocols that send by the answers of `find`: this program's part of every barrier waits for the promise that
   * `hold` returns, at most a second, so that a server which is drained gets nothing more once `settled` has resolved. `hold` returns
   * undefined when nothing that it sent to a server out of use is still on its way. `fleetFetch` and `fleetDispatcher` do so themselves.
   */
  beforeSettled(hold: () => Promise<unknown> | undefined): Subscription;
  /**
   * What this handle has counted since it began: latencies, copies and re-sends of its requests by type. `prometheusText` makes Prometheus'
   * text of it. Costs some microseconds for each type.
   */
  metrics(): FleetMetrics;
  /** The place in a trace at which this program is at present, for protocols of its own; undefined without `openTelemetry`. */
  activeTrace(): TraceContext | undefined;
  /** Resolves when every attached node has applied the revision. */
  settled(revision: Revision, options?: { readonly signal?: AbortSignal }): Promise<SettleResult>;

  /**
   * Asks the parent instead of an own replica: what the CLI and programs without a replica do. `verb` is one of the
   * queries of `roll/queries.ts` ("find", "find-all", "find-partition", "search", "get", "tables", "hosts", "status", "why", "doctor").
   */
  query(verb: string, args: JsonValue): Promise<JsonValue>;
  close(): Promise<void>;
}
