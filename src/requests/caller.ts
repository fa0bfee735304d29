import { type Clock, type JsonValue, MusterError, type Random, type Telemetry, errorOf } from "../kernel/index.ts";
import type { Finder } from "../find/index.ts";
import { DeadlineSweep, type Link } from "../link/index.ts";
import { type Replica, tableNumbers } from "../tables/index.ts";
import type { Datagrams, Transport } from "../transport/index.ts";
import { checkCall, findOptionsOf } from "./call-options.ts";
import type { Channel } from "./channel.ts";
import { Chooser } from "./choose.ts";
import { Copies } from "./copies.ts";
import { Doubts } from "./doubts.ts";
import * as errors from "./errors.ts";
import type { Lane } from "./lane.ts";
import { LaneBook } from "./lane-book.ts";
import { LaneIndex, accusationOf, isPassedOver } from "./lane-index.ts";
import { isNotAwaited } from "./gather-errors.ts";
import { type EncodedBody, encodeBody } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { Mover } from "./mover.ts";
import { Choir, type Copy } from "./multicast-choir.ts";
import { Voice } from "./multicast-voice.ts";
import { type RequestBody, type RequestLimits, type RequestOptions, requestLimits } from "./options.ts";
import { Nearness } from "./nearness.ts";
import { PathWatch } from "./path-watch.ts";
import { PendingRequest, PendingTable, effectSoFar, settleDebt } from "./pending-table.ts";
import { Replies } from "./replies.ts";
import { Search } from "./search.ts";
import { Sender } from "./sender.ts";
import { SubsetPlans } from "./subset-plans.ts";
import { TableOfKey } from "./table-of-key.ts";
import { type RequestMetrics, typeMetrics } from "./type-metrics.ts";
import { type CarriedTrace, type Tracer, askTraced, carriedTrace } from "./tracer.ts";

export interface CallerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly finder: Finder;
  /** How this program is called in logs and states. */
  readonly name: string;
  /** The host that it runs on, as far as it is known. */
  readonly host?: () => string | undefined;
  /** Adds a row if there is none. */
  readonly addIfAbsent: (table: string, key: string, value: JsonValue) => Promise<unknown>;
  readonly limits?: Partial<RequestLimits>;
  readonly tracer?: Tracer | undefined;
  /** For what is asked of several servers at once; without it each is sent its own copy. */
  readonly datagrams?: Datagrams | undefined;
  /** From so many servers on. Default 8. */
  readonly multicastFrom?: number | undefined;
}

/**
 * The caller's half of requests: finds a server, sends, and keeps a list of what is pending by server and by route. Each request
 * ends exactly once: by an answer, by a typed error, or as unknown. What the roll or a connection says against a server moves what is
 * there at once, as far as `decide.ts` calls it safe.
 */
export class RequestCaller {
  readonly #ports: CallerPorts;
  readonly #limits: RequestLimits;
  readonly #table = new PendingTable();
  readonly #doubts: Doubts;
  readonly #book: LaneBook;
  readonly #chooser: Chooser;
  readonly #sender: Sender;
  readonly #search: Search;
  readonly #copies: Copies;
  readonly #mover: Mover;
  readonly #replies: Replies;
  readonly #sweep: DeadlineSweep;
  readonly #paths: PathWatch<Channel>;
  readonly #choir: Choir | undefined;
  readonly #unobserve: () => void;
  #closed = false;

  constructor(ports: CallerPorts) {
    const { clock, random, transport, telemetry, replica, finder, name } = ports;
    const limits = { ...requestLimits, ...ports.limits };
    this.#ports = ports;
    this.#limits = limits;
    this.#doubts = new Doubts({ clock, telemetry, replica, by: name, add: ports.addIfAbsent });
    const tables = new TableOfKey(replica);
    const nearness = new Nearness(replica, ports.host ?? (() => undefined));
    const index = new LaneIndex(replica, {
      touched: (lanes) => this.#mover.judgeLanes(lanes),
      row: (table, key) => {
        if (table === tableNumbers.hosts) nearness.hostChanged(key);
        this.#search.rowChanged(table, key);
      },
      declared: () => {
        this.#sender.renew();
        this.#search.soon();
      },
      redefined: () => tables.forget(),
    });
    const { connectTimeoutMs, connectPatienceMs } = limits;
    const patienceMs = (lane: Lane) => (this.#chooser.failedLast(lane) ? 0 : connectPatienceMs);
    const hello = { role: "caller", name, token: random.hex(32) } as const;
    const channels = { clock, transport, telemetry, hello, connectTimeoutMs };
    const { datagrams } = ports;
    const overLink = (copy: Copy, sequence: number | undefined) => this.#sender.overLink(copy, sequence);
    const voice = datagrams === undefined ? undefined : new Voice({ clock, random, telemetry, datagrams });
    this.#choir = voice === undefined ? undefined : new Choir({ clock, telemetry, voice, from: ports.multicastFrom, overLink });
    this.#book = new LaneBook(replica, index, nearness, channels, patienceMs, limits.channelsMax, {
      opened: (channel, link) => this.#opened(channel, link),
      slow: (channel) => this.#mover.silent(channel, errors.unreachable(channel.place, undefined)),
      received: (channel, kind, body) => {
        if (this.#choir?.received(channel, kind, body) !== true) this.#replies.received(channel, kind, body);
      },
      ended: (channel, wasOpen, error) => this.#ended(channel, wasOpen, error),
    });
    const book = this.#book;
    const fail = (request: PendingRequest, error: MusterError) => this.#fail(request, error);
    const guard = (request: PendingRequest, act: () => void) => this.#guard(request, act);
    const isRead = (request: PendingRequest, lane: Lane) => {
      this.#sender.classify(request, lane);
      return request.effect === "read";
    };
    const subsets = new SubsetPlans({
      laneOf: (table, route) => book.lane(table, route),
      declarationOf: (lane, type) => this.#sender.declarationOf(lane, type),
      isAccused: (lane) => accusationOf(replica, lane) !== undefined || isPassedOver(replica, lane),
      nearness,
    });
    const ejected = () => telemetry.count(metricNames.ejected);
    this.#chooser = new Chooser({ clock, random, finder, tables, book, subsets, avoidMs: limits.avoidMs, isRead, ejected });
    const chooser = this.#chooser;
    const overloaded = (request: PendingRequest, error: MusterError) => this.#mover.setback(request, "overloaded", error);
    const sent = (request: PendingRequest, tells: boolean, nowMonoMs: number) => this.#copies.sent(request, tells, nowMonoMs);
    this.#sender = new Sender({ clock, telemetry, replica, book, limits, choir: this.#choir, overloaded, fail, sent });
    const sender = this.#sender;
    this.#search = new Search({
      clock,
      look: (request, nowMonoMs) => guard(request, () => this.#look(request, nowMonoMs)),
      nextMonoMs: (nowMonoMs) => chooser.nextMonoMs(nowMonoMs),
    });
    const search = this.#search;
    this.#copies = new Copies({ clock, telemetry, book, chooser, sender, search, guard });
    this.#mover = new Mover({ clock, telemetry, replica, book, chooser, copies: this.#copies, sender, search, fail, guard });
    const table = this.#table;
    const [copies, mover] = [this.#copies, this.#mover];
    const resolve = (request: PendingRequest, answer: RequestBody) => {
      if (this.#end(request)) request.resolve(answer);
    };
    this.#replies = new Replies({ clock, telemetry, table, chooser, copies, mover, resolve, fail });
    this.#sweep = new DeadlineSweep(clock, (nowMonoMs) => this.#expire(nowMonoMs));
    this.#paths = new PathWatch({
      clock,
      tickMs: limits.pathTickMs,
      channels: () => book.allChannels(),
      isWaiting: () => this.#table.size > 0,
      silent: (channel) => this.#silent(channel),
      heard: (channel) => {
        channel.isSilent = false;
        this.#search.soon();
      },
      useless: (channel) => book.close(channel),
    });
    this.#unobserve = replica.observe(index);
    telemetry.gauge(metricNames.pending, () => this.#table.size);
    telemetry.gauge(metricNames.sent, () => this.#sender.sent);
    telemetry.gauge(metricNames.channels, () => book.channels);
  }

  /** Requests without an outcome. */
  get pending(): number {
    return this.#table.size;
  }

  /** Messages that asked a server for something, re-sends included. */
  get sent(): number {
    return this.#sender.sent;
  }

  /** What is known of all requests so far, by type. */
  metrics(): RequestMetrics {
    return { pending: this.pending, sent: this.sent, channels: this.#book.channels, ...typeMetrics(this.#sender.records) };
  }

  /**
   * Asks one server of `key` and resolves with its answer. Rejects with a MusterError whose `effect` says whether it can have run;
   * `requests/unknown` is the end of a write of which nobody can say so. Codes: docs/errors.md.
   */
  request(key: string, type: string, body?: RequestBody, options?: RequestOptions): Promise<RequestBody> {
    const { tracer } = this.#ports;
    if (tracer === undefined) return this.ask(key, type, body, options, options === undefined ? undefined : carriedTrace(options));
    return askTraced(tracer, key, type, options, (carried) => this.ask(key, type, body, options, carried));
  }

  /** As `request`, as a part of something that is traced as a whole. */
  ask(
    key: string,
    type: string,
    body: RequestBody | undefined,
    options: RequestOptions | undefined,
    carried: CarriedTrace | undefined,
  ): Promise<RequestBody> {
    return this.#begin(key, type, body, options, undefined, carried);
  }

  /** What `act` asks of several servers goes out by multicast, as far as they hear it. */
  together(act: () => void): void {
    if (this.#choir === undefined) act();
    else this.#choir.together(act);
  }

  /** Asks this server, one of several that are each asked the same. Once it is known that it would be a write: `requests/not-a-read`. */
  askMember(server: string, type: string, encoded: EncodedBody, options: RequestOptions): Promise<RequestBody> {
    const { tracer } = this.#ports;
    if (tracer === undefined) return this.#begin(server, type, undefined, options, encoded, carriedTrace(options));
    return askTraced(tracer, server, type, options, (carried) => this.#begin(server, type, undefined, options, encoded, carried));
  }

  #begin(
    key: string,
    type: string,
    body: RequestBody | undefined,
    options: RequestOptions | undefined,
    copied: EncodedBody | undefined,
    carried: CarriedTrace | undefined,
  ): Promise<RequestBody> {
    return new Promise((resolve, reject) => {
      // What is thrown here has not been sent: it becomes the rejection.
      const nowMonoMs = this.#ports.clock.monoMs();
      const request = this.#accept(key, type, copied ?? encodeBody(body, "none"), options, carried, nowMonoMs, resolve, reject);
      request.neverWrite = copied !== undefined;
      this.#guard(request, () => {
        const lane = this.#chooser.choose(request, undefined, nowMonoMs);
        if (lane === undefined) this.#search.add(request);
        else this.#enter(request, lane, nowMonoMs);
      });
    });
  }

  /** Ends everything: what was sent and not answered may have run. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve();
    for (const request of this.#table.all()) {
      this.#copies.drop(request, "the caller is closing");
      this.#fail(request, errors.closed(effectSoFar(request)));
    }
    this.#sweep.stop();
    this.#search.stop();
    this.#paths.stop();
    this.#copies.stop();
    this.#choir?.close();
    this.#book.closeAll();
  }

  #accept(
    key: string,
    type: string,
    encoded: EncodedBody,
    options: RequestOptions | undefined,
    carried: CarriedTrace | undefined,
    nowMonoMs: number,
    resolve: (answer: RequestBody) => void,
    reject: (error: MusterError) => void,
  ): PendingRequest {
    const { pendingMax } = this.#limits;
    if (this.#closed) throw errors.closed("none");
    if (this.#table.size >= pendingMax) throw errors.tooMany(pendingMax);
    const deadlineMs = checkCall(key, type, options);
    const signal = options?.signal;
    const find = options === undefined ? undefined : findOptionsOf(options);
    const dueMonoMs = nowMonoMs + deadlineMs;
    const request = new PendingRequest(key, type, encoded, dueMonoMs, deadlineMs, options, find, carried, resolve, reject);
    this.#table.add(request);
    this.#sweep.watch(dueMonoMs);
    this.#paths.wake();
    if (signal !== undefined) this.#follow(request, signal);
    return request;
  }

  #follow(request: PendingRequest, signal: AbortSignal): void {
    const abort = () => {
      this.#copies.drop(request, signal.reason instanceof MusterError ? signal.reason.message : "the caller gave up");
      this.#fail(request, errors.aborted(request.key, request.type, effectSoFar(request), signal.reason));
    };
    signal.addEventListener("abort", abort, { once: true });
    request.release = () => signal.removeEventListener("abort", abort);
  }

  #enter(request: PendingRequest, lane: Lane, nowMonoMs: number): void {
    if ((request.askedCopies ?? this.#sender.declarationOf(lane, request.type).copies) !== "all") {
      this.#sender.enter(request, lane, nowMonoMs);
      return;
    }
    this.together(() => {
      this.#sender.enter(request, lane, nowMonoMs);
      this.#toAll(request, nowMonoMs);
    });
  }

  #toAll(request: PendingRequest, nowMonoMs: number): void {
    if (request.copying === "all" && !request.hasEnded) this.#copies.toAll(request, nowMonoMs);
  }

  /** One that waits for a server, or for a better one. */
  #look(request: PendingRequest, nowMonoMs: number): void {
    const { lane } = request;
    if (lane === undefined || request.givenUp) {
      if (this.#copies.replaceMain(request) || (request.owes !== undefined && request.owes.budget.saved < 1)) return;
      const to = this.#chooser.choose(request, lane, nowMonoMs);
      if (to === undefined || (request.owes !== undefined && !this.#sender.pay(request))) return;
      settleDebt(request);
      const isFirst = request.attempts === 0;
      this.#mover.transfer(request, to, nowMonoMs);
      if (isFirst) this.#toAll(request, nowMonoMs);
    } else if (request.sent && lane.channel?.isSilent !== true && accusationOf(this.#ports.replica, lane) === undefined)
      this.#search.remove(request);
    else this.#mover.tryLeave(request);
  }

  // What connections say.

  #opened(channel: Channel, link: Link): void {
    this.#chooser.forget(channel.place);
    const nowMonoMs = this.#ports.clock.monoMs();
    for (const lane of channel.lanes) {
      this.#copies.opened(lane, channel, nowMonoMs);
      for (const request of lane.requests())
        if (request.lane === lane && !request.sent && !request.givenUp)
          this.#guard(request, () => {
            this.#search.remove(request);
            this.#sender.send(request, lane, channel, link, nowMonoMs);
          });
    }
    this.#search.soon();
  }

  #ended(channel: Channel, wasOpen: boolean, error: MusterError | undefined): void {
    const cause = error ?? errors.closing("none");
    this.#suspect(channel, cause.message);
    this.#mover.ended(channel, wasOpen, cause);
  }

  /** The path is dead, or the server stands still; what cannot go elsewhere goes on waiting. */
  #silent(channel: Channel): void {
    channel.isSilent = true;
    this.#ports.telemetry.count(metricNames.silences);
    this.#suspect(channel, "nothing is heard over the connection, not even an answer to a ping");
    this.#mover.silent(channel, errors.unreachable(channel.place, undefined));
  }

  /** Of all servers there. */
  #suspect(channel: Channel, why: string): void {
    for (const lane of channel.lanes) {
      this.#chooser.avoidPlace(lane);
      // A server that said so before it left is not doubted.
      if (!channel.isClosing && !this.#closed) this.#doubts.tell(lane, why);
    }
  }

  // Ends.

  #expire(nowMonoMs: number): number {
    for (const request of this.#table.due(nowMonoMs)) {
      this.#copies.drop(request, "its deadline has passed");
      this.#ports.telemetry.count(metricNames.expired);
      if (request.owes !== undefined) this.#mover.spent(request);
      this.#fail(request, errors.expired(request, effectSoFar(request) === "maybe"));
    }
    return this.#table.earliestDueMonoMs();
  }

  /** What find says about the key (an unknown table, say) ends the request; nothing of it escapes into whoever called. */
  #guard(request: PendingRequest, act: () => void): void {
    try {
      act();
    } catch (thrown) {
      if (!(thrown instanceof MusterError)) throw thrown;
      this.#copies.drop(request, errorOf(thrown).message);
      request.mayHaveRun ||= request.sent;
      this.#fail(request, thrown);
    }
  }

  #fail(request: PendingRequest, error: MusterError): void {
    if (!this.#end(request)) return;
    if (request.record !== undefined) request.record.counts[isNotAwaited(error) ? "notAwaited" : "failed"]++;
    request.reject(request.mayHaveRun ? errors.afterAttempts(error) : error);
  }

  /** False when it has ended before: there is one outcome. */
  #end(request: PendingRequest): boolean {
    if (!this.#table.remove(request)) return false;
    request.hasEnded = true;
    request.lane?.remove(request);
    this.#copies.forget(request);
    settleDebt(request);
    this.#search.remove(request);
    request.release?.();
    return true;
  }
}
