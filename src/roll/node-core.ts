import { type JsonValue, MusterError } from "../kernel/index.ts";
import { Replica } from "../tables/index.ts";
import type { Listener } from "../transport/index.ts";
import { Admission } from "./admission.ts";
import { Adoption } from "./adoption.ts";
import { Barrier } from "./barrier.ts";
import { Bindings } from "./bindings.ts";
import { ChangeLog } from "./change-log.ts";
import type { Child } from "./child.ts";
import { ChangeDesk } from "./change-desk.ts";
import { Children } from "./children.ts";
import { Directory } from "./directory.ts";
import { Downlinks } from "./downlinks.ts";
import { noParent } from "./errors.ts";
import { Epochs } from "./epochs.ts";
import { Follower } from "./follower.ts";
import { type Range, always, everything, normaliseRanges } from "./interest.ts";
import { type Beat, type Hello, type Tick, decodeJson, encodeJson, message, method, protocolVersions } from "./messages.ts";
import { type RollLimits, type RollPeriods, defaultLimits, presets } from "./options.ts";
import { Pulse } from "./pulse.ts";
import { Neighbours } from "./neighbours.ts";
import type { NodeOptions, NodePorts } from "./node-options.ts";
import { ProgramWatch } from "./program-watch.ts";
import { parseOutcome } from "./requests.ts";
import { SettleHolds } from "./settle-holds.ts";
import { Settlement } from "./settlement.ts";
import { Uplink } from "./uplink.ts";

/**
 * The parts of a node and what they tell each other. Which parts are on follows from the options; the code is the same for
 * a directory, a relay, an agent and a client.
 */
export class NodeCore {
  readonly replica: Replica;
  readonly token: string;
  readonly options: NodeOptions;
  readonly ports: NodePorts;
  readonly periods: RollPeriods;
  readonly limits: RollLimits;
  readonly log: ChangeLog;
  readonly epochs = new Epochs();
  readonly children: Children;
  readonly downlinks: Downlinks;
  readonly barrier = new Barrier<Child>();
  readonly desk: ChangeDesk;
  readonly bindings: Bindings;
  readonly programs: ProgramWatch;
  readonly follower: Follower;
  readonly adoption: Adoption;
  readonly directory: Directory | undefined;
  readonly uplink: Uplink | undefined;
  readonly pulse: Pulse;
  readonly admission: Admission;
  readonly settlement: Settlement | undefined;
  readonly listeners: Listener[] = [];
  want: readonly Range[];
  #counter = 0;
  /** The interest that the parent was told when this node attached. */
  #asked: readonly Range[] = [];
  closed = false;
  readonly whenReady: (() => void)[] = [];
  readonly holds: SettleHolds;
  readonly neighbours: Neighbours;
  isReady = false;

  constructor(options: NodeOptions, ports: NodePorts) {
    this.options = options;
    this.ports = ports;
    this.periods = { ...presets.lan, ...options.periods };
    this.limits = { ...defaultLimits, ...options.limits };
    this.token = ports.random.hex(16);
    const { clock, telemetry, random, transport } = ports;
    const periods = this.periods;
    const limits = this.limits;
    this.holds = new SettleHolds(clock);
    this.replica = new Replica({ telemetry });
    const replica = this.replica;
    this.want = options.want === undefined ? everything : options.want.length === 0 ? [] : normaliseRanges([...always, ...options.want]);
    // A client has nobody to serve from a ring.
    this.log = new ChangeLog({ changesMax: options.role === "client" ? 0 : limits.ringChangesMax, bytesMax: limits.ringBytesMax });
    const log = this.log;
    const epochs = this.epochs;
    this.children = new Children({ replica, log, epochs, telemetry, limits, ready: (child) => this.pulse.sendTick(child) });
    this.desk = new ChangeDesk({
      clock,
      periods,
      limits,
      name: options.name,
      isProgram: options.role === "client",
      replica,
      children: this.children,
      directory: () => this.directory,
      link: () => this.uplink?.link,
      needSession: () => void this.admission.ask(),
    });
    this.programs = new ProgramWatch({
      clock,
      telemetry,
      replica,
      periods,
      name: options.name,
      transport,
      watchedMax: limits.watchedMax,
      processes: ports.processes,
      hook: ports.hook,
      change: (operations, conditions) => this.desk.change(operations, conditions),
      gone: (child) => this.admission.presence({ session: child.session, counter: child.counter, state: "gone" }, child),
    });
    this.bindings = new Bindings({
      clock,
      telemetry,
      change: (operations) => this.desk.change(operations),
      beat: (beat) => this.#beat(beat),
      epoch: () => this.replica.position.epoch,
      admit: () => void this.admission.ask(),
      // Who watches itself needs no pulses from another thread of its own.
      pulse: options.role === "client" ? ports.pulse : undefined,
      token: this.token,
      watcher: () => this.uplink?.followed,
    });
    this.follower = new Follower({
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
    this.neighbours = new Neighbours({ secret: options.secret, follower: this.follower, downlinks: () => this.downlinks });
    this.directory =
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
            options,
            committed: () => this.#moved(false),
            tell: (session, number, outcome) => this.desk.tell(session, number, outcome),
          })
        : undefined;
    const protocolMax = options.protocolMax ?? protocolVersions.max;
    const hello = () => this.#hello();
    this.uplink =
      this.directory === undefined && options.parents !== undefined && options.parents.length > 0
        ? new Uplink(options.parents, {
            clock,
            random,
            transport,
            telemetry,
            periods,
            hello,
            protocolMax,
            objection: (parent) => this.follower.objection(parent),
            attach: () => this.#attachRequest(),
            attached: (answer) => this.follower.attached(answer),
            receive: (kind, body) => this.#receive(kind, body),
            followed: () => this.#followed(),
            lost: () => {
              this.follower.lost();
              this.neighbours.changed();
            },
            offer: () => this.follower.offer(),
          })
        : undefined;
    this.admission = new Admission({
      ports,
      tickMs: periods.tickMs,
      directory: this.directory,
      uplink: this.uplink,
      children: this.children,
      identity: { role: options.role, name: options.name, token: this.token, routes: options.routes, attributes: options.attributes ?? {} },
      confirmed: (child, then) => {
        this.barrier.start([child], this.replica.position.sequence, then);
        this.children.pump(child);
      },
      counter: () => this.#counter,
      admitted: (session) => this.#admitted(session),
      forget: (session) => this.desk.forget(session),
    });
    this.settlement =
      this.directory === undefined
        ? undefined
        : new Settlement({ directory: this.directory, barrier: this.barrier, children: this.children, replica });
    this.pulse = new Pulse({
      clock,
      telemetry,
      periods,
      replica,
      token: this.token,
      parents: options.parents?.length ?? 0,
      children: this.children,
      downlinks: () => this.downlinks,
      follower: this.follower,
      directory: this.directory,
      uplink: this.uplink,
      judged: () => this.settlement?.check(),
    });
    this.adoption = new Adoption({
      clock,
      replica,
      epochs,
      directory: this.directory,
      link: () => this.uplink?.link ?? this.uplink?.pendingLink,
    });
    this.downlinks = new Downlinks({
      clock,
      telemetry,
      replica,
      children: this.children,
      limits,
      protocolMax,
      hello,
      probing: () => this.neighbours.probing,
      changed: () => this.neighbours.changed(),
      answer: () => (this.directory === undefined ? this.follower.answer() : this.directory.answer(this.token, this.pulse.number)),
      query: (verb, args) => ports.queryBytes?.(verb, args) ?? encodeJson(this.query(verb, args)),
      admit: (admit, child) => this.admission.below(admit, child),
      settle: (sequence, signal) => this.settle(sequence, signal),
      change: (request, child) => this.desk.from(child, request),
      beat: (beat, child) => this.programs.beat(child, beat),
      pulse: (news, child) => this.programs.pulse(child, news),
      presence: (news, child) => {
        this.admission.presence(news, child);
        this.settlement?.check();
      },
      evidence: (child, kind, body) => this.admission.evidence.below(child, kind, body),
      settled: (child, id) => this.barrier.answered(child, id),
      present: (child) => this.programs.present(child),
      ended: (child, byUs) => this.#ended(child, byUs),
      ticks: () => this.pulse.number,
      offer: (child, body) => this.adoption.offered(child, body),
      adopt: (child, kind, body) => this.adoption.received(child, kind, body),
    });
    // A client has nobody below whom a changed row could concern.
    if (options.role !== "client") this.#observe();
  }

  #observe(): void {
    const { replica } = this;
    replica.observe({
      touched: (table, key) => {
        const definition = replica.tableByNumber(table);
        if (definition !== undefined) this.children.touched(table, definition.name, key);
        this.programs.touched(table, key);
      },
      host: () => {},
      reset: () => {
        this.children.redo();
        this.programs.rescan();
      },
    });
  }

  get fleet(): string {
    return this.directory?.fleet ?? this.follower.fleet;
  }

  // The way up.

  #hello(): Hello {
    const { role, name, process } = this.options;
    return {
      role,
      name,
      token: this.token,
      fleet: this.fleet,
      epoch: this.directory?.authority?.epoch ?? this.follower.epoch,
      ...(process === undefined ? {} : { pid: process.pid, started: process.started }),
    };
  }

  #attachRequest(): Uint8Array {
    this.#counter++;
    this.#asked = this.want;
    const { epoch, sequence } = this.replica.position;
    return encodeJson({
      session: this.desk.writer.session,
      counter: this.#counter,
      epoch,
      sequence,
      held: this.follower.held,
      want: this.want,
    });
  }

  #followed(): void {
    // What was asked for while the parent had not answered yet.
    if (this.want !== this.#asked) this.uplink?.link?.send(message.interest, encodeJson({ want: this.want }));
    this.desk.resend();
    this.bindings.followed();
    this.neighbours.changed();
    if (this.want.length === 0) this.#becomeReady();
  }

  #receive(kind: number, body: Uint8Array): void {
    if (this.follower.receive(kind, body)) return;
    switch (kind) {
      case message.outcome: {
        const input = decodeJson(body);
        this.desk.tell(Number(input["session"]), Number(input["number"]), parseOutcome(input["outcome"]));
        return;
      }
      case message.settle: {
        const id = Number(decodeJson(body)["id"]);
        const link = this.uplink?.link;
        const answer = () => link?.send(message.settled, encodeJson({ id }));
        this.barrier.start(this.children, this.replica.position.sequence, () => this.holds.after(answer));
        this.children.pumpAll();
        return;
      }
      case message.rebind: {
        const { table, key, ended } = decodeJson(body);
        this.bindings.lapsed(String(table), String(key), ended === true);
        return;
      }
      case message.adopt:
        this.adoption.upload();
    }
  }

  #admitted(session: number): void {
    const before = this.desk.writer.session;
    this.desk.writer.admitted(session);
    this.programs.presentSelf(session);
    this.bindings.admitted(before !== session);
  }

  #ticked(_tick: Tick, news: { readonly newer: boolean; readonly returned: boolean }): void {
    if (this.follower.held.length > 0 || this.want.length === 0) this.#becomeReady();
    const mustAdmit = this.want.length > 0 || this.desk.writer.session > 0 || this.desk.writer.openCount > 0;
    if (mustAdmit && (news.returned || this.desk.writer.session === 0 || this.admission.refused !== undefined)) void this.admission.ask();
    if (news.returned) this.admission.announceBelow();
    if (!news.newer) return;
    this.pulse.sayAlive();
    this.pulse.sendTicks();
  }

  #becomeReady(): void {
    if (this.isReady) return;
    this.isReady = true;
    for (const resolve of this.whenReady.splice(0)) resolve();
  }

  // Changes on their way.

  /** Changes were applied here: they go on to the children, and own writes that waited for them resolve. */
  #moved(loaded: boolean): void {
    if (loaded) this.children.restart();
    else this.children.flush();
    if (loaded) this.downlinks.reconsider();
    this.desk.writer.reached(this.replica.position.sequence);
  }

  #beat(beat: Beat): void {
    const link = this.uplink?.link;
    if (this.directory === undefined && this.options.role === "client") link?.send(message.beat, encodeJson(beat));
    else if (this.programs.beatSelf(this.desk.writer.session, beat) === "lapsed") this.bindings.lapsed(beat.table, beat.key, false);
  }

  query(verb: string, args: unknown): JsonValue {
    if (this.ports.query === undefined)
      throw new MusterError("roll/no-queries", "this node answers no queries", { next: "ask its parent" });
    return this.ports.query(verb, args);
  }

  #ended(child: Child, byUs: boolean): void {
    this.desk.drop(child);
    this.adoption.gone(child);
    if (this.closed) return;
    this.admission.ended(child);
    this.programs.ended(child, byUs);
    this.barrier.left(child);
    this.settlement?.check();
  }

  reigns(): void {
    this.children.flush();
    this.downlinks.reconsider();
    this.#becomeReady();
    void this.admission.ask();
    this.desk.resend();
  }

  settle(sequence: number, signal: AbortSignal): Promise<number> {
    if (this.settlement !== undefined) return this.settlement.settle(sequence);
    const link = this.uplink?.link;
    if (link === undefined) return Promise.reject(noParent(this.uplink?.lastError));
    return link.call(method.settle, encodeJson({ sequence }), { signal }).then((answer) => Number(decodeJson(answer)["detached"]));
  }
}
