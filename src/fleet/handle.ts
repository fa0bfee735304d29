import { type JsonValue, MusterError, type Revision, type Telemetry } from "../kernel/index.ts";
import { Finder } from "../find/index.ts";
import type { ReachRow } from "../routes/index.ts";
import type { GatherOptions, Gathered, RequestBody, TraceContext, Tracer } from "../requests/index.ts";
import { type RequestOperation, type RollNode, parseConditions, parseOperations } from "../roll/index.ts";
import type { Store } from "../storage/index.ts";
import type {
  ChangeOptions,
  CompleteRoute,
  DrainOptions,
  DrainResult,
  Entry,
  Fleet,
  FleetEvent,
  FleetMetrics,
  FindOptions,
  HeartbeatOptions,
  Operation,
  ServeOptions,
  ServedEntry,
  ServerRoute,
  SettleResult,
  SubscribeOptions,
  Subscription,
  TableOptions,
  Where,
} from "./fleet.ts";
import { drain } from "./drain.ts";
import { endOf } from "./entry-state.ts";
import type { GroupRequestOptions, GroupServeOptions, ServedMember, WriteOutcome } from "./group.ts";
import { type Leaving, drainOwn } from "./leaving.ts";
import { FleetRequests } from "./requesting.ts";

const maxPeriodMsDefault = 3000;
const drainMsDefault = 10_000;
/** What a handle's end waits for at most when the roll is told that its entries are gone. */
const goneMsMax = 2000;

/** The handle on a node: its replica's lookups, its writer, and what it holds on the roll. */
export class FleetHandle implements Fleet {
  readonly node: RollNode;
  readonly #finder: Finder;
  readonly #telemetry: Telemetry;
  readonly #requests: FleetRequests;
  readonly #tracer: Tracer | undefined;
  /** What is served, with the way to end it. */
  readonly #served = new Map<Leaving, { readonly end: () => Promise<void>; closing: Promise<void> | undefined }>();
  #closed = false;

  /**
   * `openStore`: where servers keep the state of their ordering groups, by directory; without it they cannot serve such groups.
   * `tracer`: records requests and handlers.
   */
  constructor(node: RollNode, telemetry: Telemetry, openStore?: (directory: string) => Store, tracer?: Tracer) {
    this.node = node;
    this.#telemetry = telemetry;
    this.#finder = new Finder(node.replica, { ageMs: () => node.ageMs });
    this.#tracer = tracer;
    this.#requests = new FleetRequests(node, this.#finder, { openStore, tracer, host: () => this.host });
  }

  get host(): string | undefined {
    const { role, name } = this.node.options;
    if (role === "agent") return name;
    const parent = this.node.parent;
    if (role === "client") return parent !== undefined && (parent.role === "agent" || this.#isHost(parent.name)) ? parent.name : undefined;
    return this.#isHost(name) ? name : undefined;
  }

  #isHost(name: string): boolean {
    return this.node.replica.table("hosts") !== undefined && this.node.replica.get("hosts", name) !== undefined;
  }

  get position(): Revision {
    return this.node.position;
  }

  get detached(): boolean {
    return this.node.detached;
  }

  get ageMs(): number {
    return this.node.ageMs;
  }

  // Lookups: synchronous, local, never on the network.

  tables(): ReturnType<Fleet["tables"]> {
    return this.node.replica.tables();
  }

  get(table: string, key: string): Entry | undefined {
    return this.node.replica.get(table, key);
  }

  search(table: string, prefix = "", options?: { readonly where?: Where }): readonly Entry[] {
    return this.node.replica.search(table, prefix, options);
  }

  find(table: string, key: string, options?: FindOptions): CompleteRoute | undefined {
    return this.#finder.find(table, key, options);
  }

  findAll(table: string, key: string, options?: FindOptions): readonly CompleteRoute[] {
    return this.#finder.findAll(table, key, options);
  }

  findPartition(table: string, key: string | number, options?: FindOptions): CompleteRoute | undefined {
    return this.#finder.findPartition(table, key, options);
  }

  /** Entries whose route names the host, valid or not. */
  serversOn(host: string): number {
    let count = 0;
    for (const _ of this.node.replica.rowsOnHost(host)) count++;
    return count;
  }

  subscribe<Context = undefined>(
    options: SubscribeOptions<Context>,
    handler: (event: FleetEvent, context: Context) => void | Promise<void>,
  ): Subscription {
    return this.node.replica.subscribe(options, handler);
  }

  // Writes: resolved when this replica shows them.

  addTable(name: string, options: TableOptions = {}): Promise<Revision> {
    const { symbol, mapping, servers, index } = options;
    const value = {
      ...(symbol === undefined ? {} : { symbol }),
      ...(mapping === undefined ? {} : { mapping, servers: servers ?? name.replace(/-partition$/, "") }),
      ...(index === undefined ? {} : { index }),
    };
    return this.node.change([{ op: "add", table: "tables", key: name, value, valid: true }]);
  }

  removeTable(name: string): Promise<Revision> {
    return this.node.change([{ op: "delete", table: "tables", key: name, force: false }]);
  }

  add(table: string, key: string, value: JsonValue | ServerRoute, options: { readonly valid?: boolean } = {}): Promise<Revision> {
    return this.change([{ op: "add", table, key, value: plain(value), valid: options.valid ?? true }]);
  }

  delete(table: string, key: string, options: { readonly force?: boolean } = {}): Promise<Revision> {
    return this.change([{ op: "delete", table, key, force: options.force ?? false }]);
  }

  async change(operations: readonly Operation[], options: ChangeOptions = {}): Promise<Revision> {
    if (options.coherent === true)
      throw new MusterError("fleet/no-leased-table", "a coherent change needs tables that are declared `leased`, and this fleet has none", {
        next: "leave `coherent` out",
      });
    const parsed = parseOperations(operations);
    const conditions = parseConditions(options.ifRevision);
    return this.node.change(parsed, conditions, options.signal === undefined ? {} : { signal: options.signal });
  }

  async heartbeat(table: string, key: string, options: HeartbeatOptions & { readonly value?: JsonValue }): Promise<void> {
    const { maxPeriodMs, onExpiry = { action: "invalidate" }, value } = options;
    checkPeriod(maxPeriodMs);
    const name = this.node.replica.table(table)?.name ?? table;
    const bound = this.node.bindings.get(name, key);
    const row = this.node.replica.table(table) === undefined ? undefined : this.node.replica.get(table, key);
    const sound = row === undefined ? this.#holdsNothing : row.owner !== null;
    if (bound !== undefined && bound.maxPeriodMs === maxPeriodMs && sound && (row === undefined || row.valid)) {
      this.node.bindings.beat(name, key);
      return;
    }
    const missing = row === undefined && !this.#holdsNothing ? value : undefined;
    await this.node.bindings.bind({ table: name, key, value: missing, valid: true, maxPeriodMs, onExpiry, automatic: false });
  }

  /** A handle without a replica cannot see what it has written. */
  get #holdsNothing(): boolean {
    return this.node.options.want?.length === 0;
  }

  serve(table: string, key: string, options: GroupServeOptions): Promise<ServedMember>;
  serve(table: string, key: string, options: ServeOptions): Promise<ServedEntry>;
  async serve(table: string, key: string, options: ServeOptions | GroupServeOptions): Promise<ServedEntry> {
    const host = this.#hostFor(options);
    checkPeriod(options.maxPeriodMs ?? maxPeriodMsDefault);
    const name = this.node.replica.table(table)?.name ?? table;
    const onto = (onRoll: ServeOptions) => this.#register(name, key, host, onRoll);
    if ("group" in options) return this.#requests.serveMember(name, key, host, options, onto);
    const { types } = options;
    return types === undefined ? onto(options) : this.#requests.serve(name, key, host, { ...options, types }, onto);
  }

  #hostFor(options: { readonly host?: string }): string {
    const host = options.host ?? this.host;
    if (host !== undefined) return host;
    throw new MusterError("fleet/no-host", "this program is not connected to an agent, so its host is not known", {
      next: "connect to the host's agent, or pass { host }",
    });
  }

  /** Puts the entry on the roll and keeps it there. */
  async #register(name: string, key: string, host: string, options: ServeOptions): Promise<ServedEntry> {
    const { port, data, maxPeriodMs = maxPeriodMsDefault, onExpiry = { action: "invalidate" } } = options;
    const bindings = this.node.bindings;
    const bind = (value: JsonValue, valid: boolean, besides: readonly RequestOperation[] = []) =>
      bindings.bind({ table: name, key, value, valid, maxPeriodMs, onExpiry, automatic: true }, besides);
    const routeOf = (inner: JsonValue | undefined) => plain({ host, port, ...(inner === undefined ? {} : { data: inner }) });
    let current = { data, valid: options.valid ?? true };
    await bind(routeOf(data), current.valid);
    const leaving: Leaving = {
      table: name,
      key,
      get named() {
        return current.valid && bindings.get(name, key) !== undefined;
      },
      drain: options.drain,
      drainMs: options.drainMs ?? drainMsDefault,
    };
    const end = async () => {
      bindings.drop(name, key);
      await this.node.change([{ op: "unbind", table: name, key }]);
    };
    const life: { readonly end: () => Promise<void>; closing: Promise<void> | undefined } = { end, closing: undefined };
    this.#served.set(leaving, life);
    return {
      table: name,
      key,
      update: async (changes) => {
        if (life.closing !== undefined) throw new MusterError("fleet/closed", `"${key}" is no longer served by this program`);
        current = { data: changes.data ?? current.data, valid: changes.valid ?? current.valid };
        const said = { by: host, sinceUnixMs: this.node.ports.clock.unixMs() };
        const reason = current.valid || changes.because === undefined ? [] : endOf(name, key, { ...changes.because, ...said });
        await bind(routeOf(current.data), current.valid, reason);
      },
      close: () => (life.closing ??= this.#leave([leaving])),
    };
  }

  /** Drained together, then each is gone: rejects when the roll could not be told of one. */
  async #leave(leaving: readonly Leaving[], goneMs?: number): Promise<void> {
    await drainOwn(this, this.node.ports.clock, leaving);
    const gone = Promise.all(
      leaving.map(async (one) => {
        const ended = this.#served.get(one)?.end();
        this.#served.delete(one);
        await ended;
      }),
    );
    await (goneMs === undefined ? gone : this.node.within(goneMs, gone));
  }

  drain(target: string, options: DrainOptions = {}): Promise<DrainResult> {
    return drain(this, this.node.ports.clock, target, options);
  }

  // Requests.

  request(key: string, type: string, body?: RequestBody, options?: GroupRequestOptions): Promise<RequestBody> {
    return this.#requests.request(key, type, body, options);
  }

  gather(key: string, type: string, body?: RequestBody, options?: GatherOptions): Promise<Gathered> {
    return this.#requests.gather(key, type, body, options);
  }

  outcome(requestId: string, options: { readonly deadlineMs?: number } = {}): Promise<WriteOutcome> {
    return this.#requests.outcome(requestId, options);
  }

  metrics(): FleetMetrics {
    return { requests: this.#requests.metrics() };
  }

  activeTrace(): TraceContext | undefined {
    return this.#tracer?.current();
  }

  beforeSettled(hold: () => Promise<unknown> | undefined): Subscription {
    return { cancel: this.node.beforeSettled(hold) };
  }

  async settled(revision: Revision, options: { readonly signal?: AbortSignal } = {}): Promise<SettleResult> {
    return { detached: await this.node.settled(revision, options.signal) };
  }

  query(verb: string, args: JsonValue): Promise<JsonValue> {
    return this.node.query(verb, args);
  }

  /** What probes know of the routes around this node, as JSON; nothing until `NodeProbes` are set. */
  probes: { table(): readonly ReachRow[] } | undefined;

  reach(): readonly JsonValue[] {
    return (this.probes?.table() ?? []).map(({ lastHeardMs, ...row }) => ({
      ...row,
      lastHeardMs: lastHeardMs === undefined ? null : Math.round(lastHeardMs),
    }));
  }

  status(): JsonValue {
    return { host: this.host ?? null, ...this.node.status() };
  }

  /**
   * Drains what this handle serves, takes it off the roll and leaves. Bounded: a second until everybody knows, `drainMs` for requests
   * under way, two seconds for the roll; without a directory at once.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const goneMs = this.node.detached ? 0 : goneMsMax;
    const lives = [...this.#served];
    // What the program closes itself is waited for no longer than the rest.
    const earlier = lives.flatMap(([, { closing }]) => closing ?? []);
    const open = lives.filter(([, { closing }]) => closing === undefined);
    const leaving = this.#leave(
      open.map(([one]) => one),
      goneMs,
    );
    for (const [, life] of open) life.closing = leaving;
    await Promise.all([leaving, this.node.within(goneMs, Promise.allSettled(earlier))]);
    await this.#requests.close();
    await this.node.close();
    this.#telemetry.log("debug", "closed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function checkPeriod(maxPeriodMs: number): void {
  if (Number.isFinite(maxPeriodMs) && maxPeriodMs >= 100 && maxPeriodMs <= 3_600_000) return;
  throw new MusterError("fleet/bad-period", `a heartbeat is expected within 100 ms … 1 h, not ${maxPeriodMs} ms`, {
    next: "choose another maxPeriodMs",
  });
}

/** The value as JSON, so that what the caller does with its object afterwards changes nothing here. */
function plain(value: JsonValue | ServerRoute): JsonValue {
  const text = JSON.stringify(value);
  if (text === undefined)
    throw new MusterError("fleet/bad-value", "the value is not JSON", { next: "pass text, numbers, lists and plain objects" });
  return JSON.parse(text);
}
