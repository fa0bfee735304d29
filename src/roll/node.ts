import { type JsonValue, MusterError, type Revision } from "../kernel/index.ts";
import { Replica } from "../tables/index.ts";
import { type Address, type Listener } from "../transport/index.ts";
import { Admission } from "./admission.ts";
import { Adoption } from "./adoption.ts";
import { Barrier } from "./barrier.ts";
import { Bindings } from "./bindings.ts";
import { ChangeLog } from "./change-log.ts";
import type { Child } from "./child.ts";
import { Children } from "./children.ts";
import { Directory } from "./directory.ts";
import { Downlinks } from "./downlinks.ts";
import { Epochs } from "./epochs.ts";
import { Follower } from "./follower.ts";
import { type Range, always, everything, normaliseRanges } from "./interest.ts";
import { type Beat, type Hello, type Tick, decodeJson, encodeJson, message, method, protocolVersions } from "./messages.ts";
import { type RollLimits, type RollPeriods, defaultLimits, presets } from "./options.ts";
import { Pulse } from "./pulse.ts";
import type { NodeOptions, NodePorts } from "./node-options.ts";
import { Outbox } from "./outbox.ts";
import { ProgramWatch } from "./program-watch.ts";
import { type ChangeRequest, type Condition, type Outcome, type RequestOperation, parseOutcome } from "./requests.ts";
import { Settlement } from "./settlement.ts";
import { nodeStatus } from "./status.ts";
import { Uplink } from "./uplink.ts";
import { Writer } from "./writer.ts";

/**
 * One kind of node: a directory has no parent and owns the order, a relay has both sides, an agent's children are the
 * programs of its host, a client has no children. Which parts are on follows from the options; the code is the same.
 */
export class RollNode {
  readonly replica: Replica;
  readonly token: string;
  readonly options: NodeOptions;
  readonly #ports: NodePorts;
  readonly #periods: RollPeriods;
  readonly #limits: RollLimits;
  readonly #log: ChangeLog;
  readonly #epochs = new Epochs();
  readonly #children: Children;
  readonly #downlinks: Downlinks;
  readonly #barrier = new Barrier<Child>();
  readonly #outbox = new Outbox();
  readonly #writer: Writer;
  readonly #bindings: Bindings;
  readonly #programs: ProgramWatch;
  readonly #follower: Follower;
  readonly #adoption: Adoption;
  readonly #directory: Directory | undefined;
  readonly #uplink: Uplink | undefined;
  readonly #pulse: Pulse;
  readonly #admission: Admission;
  readonly #settlement: Settlement | undefined;
  readonly #listeners: Listener[] = [];
  #want: readonly Range[];
  #counter = 0;
  #resending = false;
  #closed = false;
  #ready: (() => void)[] = [];
  #state: "starting" | "ready" = "starting";

  constructor(options: NodeOptions, ports: NodePorts) {
    this.options = options;
    this.#ports = ports;
    this.#periods = { ...presets.lan, ...options.periods };
    this.#limits = { ...defaultLimits, ...options.limits };
    this.token = ports.random.hex(16);
    const { clock, telemetry, random, transport } = ports;
    const periods = this.#periods;
    const limits = this.#limits;
    this.replica = new Replica({ telemetry });
    const replica = this.replica;
    this.#want = options.want === undefined ? everything : options.want.length === 0 ? [] : normaliseRanges([...always, ...options.want]);
    this.#log = new ChangeLog({ changesMax: limits.ringChangesMax, bytesMax: limits.ringBytesMax });
    const log = this.#log;
    const epochs = this.#epochs;
    this.#children = new Children({ replica, log, epochs, telemetry, limits, ready: (child) => this.#pulse.sendTick(child) });
    this.#writer = new Writer({
      send: (request) => this.#submit(request),
      needSession: () => void this.#admission.ask(),
      resendSoon: () => this.#resendSoon(),
      openMax: limits.openChangesMax,
    });
    this.#programs = new ProgramWatch({
      clock,
      telemetry,
      replica,
      periods,
      name: options.name,
      watchedMax: limits.watchedMax,
      processes: ports.processes,
      hook: ports.hook,
      change: (operations) => this.change(operations),
      gone: (child) => this.#admission.presence({ session: child.session, counter: child.counter, state: "gone" }, child),
    });
    this.#bindings = new Bindings({ clock, telemetry, change: (operations) => this.change(operations), beat: (beat) => this.#beat(beat) });
    this.#follower = new Follower({
      clock,
      telemetry,
      replica,
      log,
      epochs,
      periods,
      token: this.token,
      parents: options.parents?.length ?? 0,
      moved: (loaded) => this.#moved(loaded),
      ticked: (tick, news) => this.#ticked(tick, news),
    });
    this.#directory =
      options.role === "directory" && ports.store !== undefined
        ? new Directory({
            clock,
            random,
            telemetry,
            store: ports.store,
            replica,
            log,
            epochs,
            periods,
            limits,
            mappings: options.mappings ?? {},
            committed: () => this.#moved(false),
            tell: (session, number, outcome) => this.#tell(session, number, outcome),
          })
        : undefined;
    const protocolMax = options.protocolMax ?? protocolVersions.max;
    const hello = () => this.#hello();
    this.#uplink =
      this.#directory === undefined && options.parents !== undefined && options.parents.length > 0
        ? new Uplink(options.parents, {
            clock,
            random,
            transport,
            telemetry,
            periods,
            hello,
            protocolMax,
            objection: (parent) => this.#objection(parent),
            attach: () => this.#attachRequest(),
            attached: (answer) => this.#follower.attached(answer),
            receive: (kind, body) => this.#receive(kind, body),
            followed: () => this.#followed(),
            lost: () => this.#follower.lost(),
            offer: () => this.#offer(),
          })
        : undefined;
    this.#admission = new Admission({
      telemetry,
      directory: this.#directory,
      uplink: this.#uplink,
      children: this.#children,
      identity: { role: options.role, name: options.name, token: this.token, routes: options.routes, attributes: options.attributes ?? {} },
      counter: () => this.#counter,
      admitted: (session) => this.#admitted(session),
      forget: (session) => this.#outbox.forget(session),
    });
    this.#settlement =
      this.#directory === undefined
        ? undefined
        : new Settlement({ directory: this.#directory, barrier: this.#barrier, children: this.#children, replica });
    this.#pulse = new Pulse({
      clock,
      telemetry,
      periods,
      replica,
      token: this.token,
      parents: options.parents?.length ?? 0,
      children: this.#children,
      downlinks: () => this.#downlinks,
      follower: this.#follower,
      directory: this.#directory,
      uplink: this.#uplink,
      judged: () => this.#settlement?.check(),
    });
    this.#adoption = new Adoption({
      clock,
      replica,
      epochs,
      telemetry,
      directory: this.#directory,
      link: () => this.#uplink?.link ?? this.#uplink?.pendingLink,
    });
    this.#downlinks = new Downlinks({
      clock,
      telemetry,
      replica,
      children: this.#children,
      limits,
      protocolMax,
      hello,
      answer: () => this.#answer(),
      query: (verb, args) => this.#query(verb, args),
      admit: (admit, child) => this.#admission.below(admit, child),
      settle: (sequence, signal) => this.#settle(sequence, signal),
      change: (request, child) => this.#changeFrom(request, child),
      beat: (beat, child) => this.#programs.beat(child, beat),
      presence: (news, child) => {
        this.#admission.presence(news, child);
        this.#settlement?.check();
      },
      settled: (child, id) => this.#barrier.answered(child, id),
      present: (child) => this.#programs.present(child),
      ended: (child, byUs) => this.#ended(child, byUs),
      ticks: () => this.#pulse.number,
      offer: (child, body) => this.#adoption.offered(child, body),
      adopt: (child, kind, body) => this.#adoption.received(child, kind, body),
    });
    // A client has nobody below whom a changed row could concern.
    if (options.role !== "client") this.#observe();
  }

  #observe(): void {
    const { replica } = this;
    replica.observe({
      touched: (table, key) => {
        const definition = replica.tableByNumber(table);
        if (definition !== undefined) this.#children.touched(table, definition.name, key);
        this.#programs.touched(table, key);
      },
      host: () => {},
      reset: () => {
        this.#children.redo();
        this.#programs.rescan();
      },
    });
  }

  // Life.

  /** Begins to follow, or opens the store and reigns. Rejects only for what will not mend itself (`storage/*`). */
  async start(): Promise<void> {
    this.#pulse.start();
    if (this.options.role !== "client") this.#programs.start();
    if (this.#directory !== undefined) {
      this.#directory.onReign = () => this.#reigns();
      await this.#directory.start();
    } else this.#uplink?.start();
  }

  /** Resolves when lookups answer from a whole replica. */
  ready(signal?: AbortSignal): Promise<void> {
    if (this.#state === "ready") return Promise.resolve();
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(this.#uplink?.lastError ?? signal.reason), { once: true });
      this.#ready.push(resolve);
    });
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  async listen(address: Address): Promise<Listener> {
    const listener = await this.#ports.transport.listen(address, (connection) => this.#downlinks.accept(connection));
    this.#listeners.push(listener);
    return listener;
  }

  /** Leaves in good order: what this node holds ends with it, changes under way are waited for by the directory only. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#pulse.close();
    this.#admission.close();
    this.#programs.close();
    this.#bindings.close();
    this.#uplink?.close();
    const closing = this.#listeners.map((listener) => listener.close());
    await this.#directory?.close();
    this.#downlinks.close(new MusterError("roll/closing", "the parent is shutting down"));
    this.#writer.close();
    await Promise.all(closing);
  }

  // What a program sees.

  get fleet(): string {
    return this.#directory?.fleet ?? this.#follower.fleet;
  }

  get detached(): boolean {
    if (this.#directory !== undefined) return false;
    // Before its admission the directory does not count on a node, whatever it hears.
    return this.#follower.detached || (this.#want.length > 0 && this.#writer.session === 0);
  }

  get ageMs(): number {
    return this.#directory === undefined ? this.#follower.ageMs : 0;
  }

  get position(): Revision {
    return this.replica.position;
  }

  get bindings(): Bindings {
    return this.#bindings;
  }

  /** What the parent calls itself: for a program on a host, the host. */
  get parent(): { readonly address: string; readonly name: string; readonly role: string } | undefined {
    return this.#uplink?.parent;
  }

  get lastError(): MusterError | undefined {
    return this.#admission.refused ?? this.#uplink?.lastError;
  }

  /** The newest changes, for watches that resume. */
  get log(): ChangeLog {
    return this.#log;
  }

  get epochs(): Epochs {
    return this.#epochs;
  }

  /** One change; resolves when this node has applied it, rejects with the refusal. */
  change(
    operations: readonly RequestOperation[],
    conditions: readonly Condition[] = [],
    options: { readonly coherent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Revision> {
    if (this.#closed) return Promise.reject(new MusterError("roll/closed", "this handle is closed"));
    return this.#writer.change(operations, conditions, options);
  }

  /** Resolves when every attached node has applied the revision; says how many are detached. */
  async settled(revision: Revision, signal?: AbortSignal): Promise<number> {
    return this.#settle(revision.sequence, signal ?? new AbortController().signal);
  }

  /** Asks the parent what it knows. */
  async query(verb: string, args: JsonValue): Promise<JsonValue> {
    const link = this.#uplink?.link;
    if (this.#uplink === undefined) return this.#query(verb, args);
    if (link === undefined) throw this.#noParent();
    const answer = await link.call(method.query, encodeJson({ verb, args }), { deadlineMs: 10_000 });
    const value: JsonValue = JSON.parse(Buffer.from(answer).toString());
    return value;
  }

  /** Waits for `promise`, but not longer than `limitMs`. */
  within(limitMs: number, promise: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#ports.clock.schedule(limitMs, resolve);
      const done = () => {
        timer.cancel();
        resolve();
      };
      promise.then(done, done);
    });
  }

  /** The ranges that are whole here at the present position. */
  get held(): readonly Range[] {
    return this.#directory === undefined ? this.#follower.held : everything;
  }

  /** Asks for more ranges; they are there when `held` names them. */
  widen(ranges: readonly Range[]): void {
    this.#want = normaliseRanges([...this.#want, ...always, ...ranges]);
    this.#uplink?.link?.send(message.interest, encodeJson({ want: this.#want }));
  }

  status(): { readonly [name: string]: JsonValue } {
    return nodeStatus({
      node: this,
      directory: this.#directory,
      epoch: this.#directory?.authority?.epoch ?? this.#follower.epoch,
      parentError: this.#uplink?.lastError,
      downlinks: this.#downlinks.size,
      children: this.#children,
      listeners: this.#listeners,
      session: this.#writer.session,
      openChanges: this.#writer.openCount + this.#outbox.size,
      programs: this.#programs,
      settling: this.#settlement?.size ?? 0,
    });
  }

  // The way up.

  #hello(): Hello {
    const { role, name, process } = this.options;
    return {
      role,
      name,
      token: this.token,
      fleet: this.fleet,
      epoch: this.#directory?.authority?.epoch ?? this.#follower.epoch,
      ...(process === undefined ? {} : { pid: process.pid, started: process.started }),
    };
  }

  #objection(parent: Hello): MusterError | undefined {
    const { fleet, epoch } = this.#follower;
    if (parent.fleet === "" || fleet === "") return undefined;
    if (parent.fleet !== fleet)
      return new MusterError("roll/other-fleet", `the parent belongs to fleet ${parent.fleet}, this node to ${fleet}`, {
        next: "check --parent",
      });
    if (parent.role === "directory" && parent.epoch < epoch)
      return new MusterError("roll/lower-epoch", `the directory reigns in epoch ${parent.epoch}, this node has seen ${epoch}`, {
        next: "the directory was started on an old copy of its store: start it on the right one",
      });
    return undefined;
  }

  #attachRequest(): Uint8Array {
    this.#counter++;
    const { epoch, sequence } = this.replica.position;
    return encodeJson({
      session: this.#writer.session,
      counter: this.#counter,
      epoch,
      sequence,
      held: this.#follower.held,
      want: this.#want,
    });
  }

  #followed(): void {
    this.#resend();
    if (this.#want.length === 0) this.#becomeReady();
  }

  #resend(): void {
    for (const request of this.#outbox.requests()) this.#forward(request);
    this.#writer.resend();
  }

  #resendSoon(): void {
    if (this.#resending) return;
    this.#resending = true;
    this.#ports.clock.schedule(this.#periods.reconnectMsMin, () => {
      this.#resending = false;
      if (!this.#closed) this.#writer.resend();
    });
  }

  #offer(): Uint8Array | undefined {
    if (this.#follower.fleet === "" || !this.#follower.holdsEverything) return undefined;
    return encodeJson({ fleet: this.#follower.fleet, ...this.replica.position });
  }

  #receive(kind: number, body: Uint8Array): void {
    if (this.#follower.receive(kind, body)) return;
    switch (kind) {
      case message.outcome: {
        const input = decodeJson(body);
        this.#tell(Number(input["session"]), Number(input["number"]), parseOutcome(input["outcome"]));
        return;
      }
      case message.settle: {
        const id = Number(decodeJson(body)["id"]);
        const link = this.#uplink?.link;
        this.#barrier.start(this.#children, this.replica.position.sequence, () => link?.send(message.settled, encodeJson({ id })));
        this.#children.pumpAll();
        return;
      }
      case message.rebind: {
        const { table, key, ended } = decodeJson(body);
        this.#bindings.lapsed(String(table), String(key), ended === true);
        return;
      }
      case message.adopt:
        this.#adoption.upload();
        return;
      default:
        return;
    }
  }

  #forward(request: ChangeRequest): void {
    if (this.#directory !== undefined) this.#directory.submit(request);
    else this.#uplink?.link?.send(message.change, encodeJson(request));
  }

  #submit(request: ChangeRequest): void {
    if (this.#directory !== undefined && this.#directory.authority === undefined) return;
    this.#forward(request);
  }

  #admitted(session: number): void {
    const before = this.#writer.session;
    this.#writer.admitted(session);
    this.#programs.presentSelf(session);
    if (before !== session) this.#bindings.rebindAll();
  }

  #ticked(_tick: Tick, news: { readonly newer: boolean; readonly returned: boolean }): void {
    if (this.#follower.held.length > 0 || this.#want.length === 0) this.#becomeReady();
    const mustAdmit = this.#want.length > 0 || this.#writer.session > 0 || this.#writer.openCount > 0;
    if (mustAdmit && (news.returned || this.#writer.session === 0 || this.#admission.refused !== undefined)) void this.#admission.ask();
    if (news.returned) this.#admission.announceBelow();
    if (!news.newer) return;
    this.#pulse.sayAlive();
    this.#pulse.sendTicks();
  }

  #becomeReady(): void {
    if (this.#state === "ready") return;
    this.#state = "ready";
    for (const resolve of this.#ready.splice(0)) resolve();
  }

  #noParent(): MusterError {
    return (
      this.#uplink?.lastError ??
      new MusterError("roll/no-parent", "no parent is reached", { next: "start an agent, or check --parent and MUSTER_AGENT" })
    );
  }

  // Changes on their way.

  /** Changes were applied here: they go on to the children, and own writes that waited for them resolve. */
  #moved(loaded: boolean): void {
    if (loaded) this.#children.restart();
    else this.#children.flush();
    if (loaded) this.#downlinks.reconsider();
    this.#writer.reached(this.replica.position.sequence);
  }

  #changeFrom(request: ChangeRequest, child: Child): void {
    if (child.hello.role === "client" && request.session !== child.session)
      throw new MusterError("roll/foreign-session", "a program writes only under its own session");
    if (this.#outbox.openOf(request.session) >= this.#limits.openChangesMax)
      throw new MusterError("roll/too-many-open-changes", "this writer has too many open changes", { next: "wait for some of them" });
    // Who watches a program is what its parent says, not what it says itself.
    const watched =
      child.hello.role === "client"
        ? {
            ...request,
            operations: request.operations.map((operation) =>
              operation.op === "bind" ? { ...operation, watcher: this.options.name } : operation,
            ),
          }
        : request;
    this.#outbox.put(watched, child);
    this.#submit(watched);
  }

  #tell(session: number, number: number, outcome: Outcome): void {
    if (session === this.#writer.session) {
      this.#writer.told(number, outcome, this.replica.position.sequence);
      return;
    }
    for (const child of this.#outbox.take(session, number)) {
      this.#children.progress(child);
      child.link.send(message.outcome, encodeJson({ session, number, outcome }));
    }
  }

  #beat(beat: Beat): void {
    const link = this.#uplink?.link;
    if (this.#directory === undefined && this.options.role === "client") link?.send(message.beat, encodeJson(beat));
    else if (this.#programs.beatSelf(this.#writer.session, beat) === "lapsed") this.#bindings.lapsed(beat.table, beat.key, false);
  }

  // Children.

  #answer() {
    const { role } = this.options;
    const directory = this.#directory;
    const epochs = this.#epochs.starts;
    if (directory !== undefined) {
      if (directory.authority === undefined) return undefined;
      return {
        fleet: directory.fleet,
        epoch: directory.authority.epoch,
        epochs,
        path: [this.token],
        tick: this.#pulse.number,
        reign: directory.reign,
        detached: false,
      };
    }
    if (!this.#follower.loaded) return undefined;
    const { fleet, epoch, path, tick, reign } = this.#follower;
    return {
      fleet,
      epoch,
      epochs,
      path: [...path, this.token],
      tick: tick.number,
      reign,
      detached: this.#follower.detached && role !== "client",
    };
  }

  #query(verb: string, args: unknown): JsonValue {
    if (this.#ports.query === undefined)
      throw new MusterError("roll/no-queries", "this node answers no queries", { next: "ask its parent" });
    return this.#ports.query(verb, args);
  }

  #ended(child: Child, byUs: boolean): void {
    this.#outbox.drop(child);
    this.#adoption.gone(child);
    if (this.#closed) return;
    this.#admission.ended(child);
    this.#programs.ended(child, byUs);
    this.#barrier.left(child);
    this.#settlement?.check();
  }

  #reigns(): void {
    this.#children.flush();
    this.#downlinks.reconsider();
    this.#becomeReady();
    void this.#admission.ask();
    for (const request of this.#outbox.requests()) this.#forward(request);
    this.#writer.resend();
  }

  #settle(sequence: number, signal: AbortSignal): Promise<number> {
    if (this.#settlement !== undefined) return this.#settlement.settle(sequence);
    const link = this.#uplink?.link;
    if (link === undefined) return Promise.reject(this.#noParent());
    return link.call(method.settle, encodeJson({ sequence }), { signal }).then((answer) => Number(decodeJson(answer)["detached"]));
  }
}
