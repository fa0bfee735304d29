import { type Clock, type JsonValue, MusterError, type Random, type Telemetry, errorOf } from "../kernel/index.ts";
import type { FindOptions, Finder } from "../find/index.ts";
import { DeadlineSweep, type Link } from "../link/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Transport } from "../transport/index.ts";
import type { Channel } from "./channel.ts";
import { Chooser } from "./choose.ts";
import { Doubts } from "./doubts.ts";
import * as errors from "./errors.ts";
import type { Lane } from "./lane.ts";
import { LaneBook } from "./lane-book.ts";
import { LaneIndex, accusationOf } from "./lane-index.ts";
import { attemptOf, encodeBody, idOf, message, parseAnswer, parseError, parseRefusal } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { Mover } from "./mover.ts";
import {
  type RequestBody,
  type RequestLimits,
  type RequestOptions,
  deadlineMsDefault,
  deadlineMsMax,
  requestLimits,
  typeNameBytesMax,
} from "./options.ts";
import { PathWatch } from "./path-watch.ts";
import { PendingRequest, PendingTable } from "./pending-table.ts";
import { Search } from "./search.ts";
import { Sender } from "./sender.ts";
import { TableOfKey } from "./table-of-key.ts";

export interface CallerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly finder: Finder;
  /** How this program is called in logs and states. */
  readonly name: string;
  /** Adds a row if there is none. */
  readonly addIfAbsent: (table: string, key: string, value: JsonValue) => Promise<unknown>;
  readonly limits?: Partial<RequestLimits>;
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
  readonly #mover: Mover;
  readonly #sweep: DeadlineSweep;
  readonly #paths: PathWatch<Channel>;
  readonly #unobserve: () => void;
  #closed = false;

  constructor(ports: CallerPorts) {
    const { clock, random, transport, telemetry, replica, finder, name } = ports;
    const limits = { ...requestLimits, ...ports.limits };
    this.#ports = ports;
    this.#limits = limits;
    this.#doubts = new Doubts({ clock, telemetry, replica, by: name, add: ports.addIfAbsent });
    const tables = new TableOfKey(replica);
    const index = new LaneIndex(replica, {
      touched: (lanes) => this.#mover.judgeLanes(lanes),
      row: (table, key) => this.#search.rowChanged(table, key),
      declared: () => this.#sender.renew(),
      redefined: () => tables.forget(),
    });
    const { connectTimeoutMs, connectPatienceMs } = limits;
    const patienceMs = (lane: Lane) => (this.#chooser.failedLast(lane) ? 0 : connectPatienceMs);
    const hello = { role: "caller", name, token: random.hex(32) } as const;
    const channels = { clock, transport, telemetry, hello, connectTimeoutMs };
    this.#book = new LaneBook(replica, index, channels, patienceMs, limits.channelsMax, {
      opened: (channel, link) => this.#opened(channel, link),
      slow: (channel) => this.#mover.silent(channel, errors.unreachable(channel.place, undefined)),
      received: (channel, kind, body) => this.#received(channel, kind, body),
      ended: (channel, wasOpen, error) => this.#ended(channel, wasOpen, error),
    });
    const book = this.#book;
    const fail = (request: PendingRequest, error: MusterError) => this.#fail(request, error);
    const guard = (request: PendingRequest, act: () => void) => this.#guard(request, act);
    this.#chooser = new Chooser({ clock, finder, tables, book, avoidMs: limits.avoidMs });
    const chooser = this.#chooser;
    const overloaded = (request: PendingRequest, error: MusterError) => this.#mover.setback(request, "overloaded", error);
    this.#sender = new Sender({ clock, replica, book, limits, overloaded, fail });
    this.#search = new Search({
      clock,
      look: (request, nowMonoMs) => guard(request, () => this.#look(request, nowMonoMs)),
      nextMonoMs: (nowMonoMs) => chooser.nextMonoMs(nowMonoMs),
    });
    this.#mover = new Mover({ clock, telemetry, replica, book, chooser, sender: this.#sender, search: this.#search, fail, guard });
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

  /**
   * Asks one server of `key` and resolves with its answer. Rejects with a MusterError whose `effect` says whether it can have run;
   * `requests/unknown` is the end of a write of which nobody can say so. Codes: docs/errors.md.
   */
  request(key: string, type: string, body?: RequestBody, options?: RequestOptions): Promise<RequestBody> {
    return new Promise((resolve, reject) => {
      // What is thrown here has not been sent: it becomes the rejection.
      const nowMonoMs = this.#ports.clock.monoMs();
      const request = this.#accept(key, type, body, options, nowMonoMs, resolve, reject);
      this.#guard(request, () => {
        const lane = this.#chooser.choose(request, undefined, nowMonoMs);
        if (lane === undefined) this.#search.add(request);
        else this.#sender.enter(request, lane, nowMonoMs);
      });
    });
  }

  /** Ends everything: what was sent and not answered may have run. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve();
    for (const request of this.#table.all()) {
      this.#sender.drop(request, "the caller is closing");
      this.#fail(request, errors.closed(effectOf(request)));
    }
    this.#sweep.stop();
    this.#search.stop();
    this.#paths.stop();
    this.#book.closeAll();
  }

  #accept(
    key: string,
    type: string,
    body: RequestBody | undefined,
    options: RequestOptions | undefined,
    nowMonoMs: number,
    resolve: (answer: RequestBody) => void,
    reject: (error: MusterError) => void,
  ): PendingRequest {
    const { pendingMax } = this.#limits;
    if (this.#closed) throw errors.closed("none");
    if (this.#table.size >= pendingMax) throw errors.tooMany(pendingMax);
    if (typeof type !== "string" || type.length === 0 || type.length > typeNameBytesMax) throw errors.badType(type);
    const deadlineMs = options?.deadlineMs ?? deadlineMsDefault;
    if (!(deadlineMs >= 1 && deadlineMs <= deadlineMsMax)) throw errors.badDeadline(deadlineMs);
    const signal = options?.signal;
    if (signal?.aborted === true) throw errors.aborted(key, type, "none", signal.reason);
    const encoded = encodeBody(body, "none");
    const find = options === undefined ? undefined : findOptionsOf(options);
    const dueMonoMs = nowMonoMs + deadlineMs;
    const request = new PendingRequest(key, type, encoded, dueMonoMs, options?.table, find, options?.effect, resolve, reject);
    this.#table.add(request);
    this.#sweep.watch(dueMonoMs);
    this.#paths.wake();
    if (signal !== undefined) this.#follow(request, signal);
    return request;
  }

  #follow(request: PendingRequest, signal: AbortSignal): void {
    const abort = () => {
      this.#sender.drop(request, "the caller gave up");
      this.#fail(request, errors.aborted(request.key, request.type, effectOf(request), signal.reason));
    };
    signal.addEventListener("abort", abort, { once: true });
    request.release = () => signal.removeEventListener("abort", abort);
  }

  /** One that waits for a server, or for a better one. */
  #look(request: PendingRequest, nowMonoMs: number): void {
    const { lane } = request;
    if (lane === undefined || request.givenUp) {
      const to = this.#chooser.choose(request, lane, nowMonoMs);
      if (to !== undefined) this.#mover.transfer(request, to, nowMonoMs);
    } else if (request.sent && lane.channel?.isSilent !== true && accusationOf(this.#ports.replica, lane) === undefined)
      this.#search.remove(request);
    else this.#mover.tryLeave(request);
  }

  // What connections say.

  #opened(channel: Channel, link: Link): void {
    this.#chooser.forget(channel.place);
    const nowMonoMs = this.#ports.clock.monoMs();
    for (const lane of channel.lanes)
      for (const request of lane.requests())
        if (request.lane === lane && !request.sent && !request.givenUp)
          this.#guard(request, () => {
            this.#search.remove(request);
            this.#sender.send(request, lane, channel, link, nowMonoMs);
          });
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

  #received(channel: Channel, kind: number, body: Uint8Array): void {
    // A pong is heard by its link, which is all that it is for.
    if (kind >= message.closing) {
      channel.isClosing ||= kind === message.closing;
      return;
    }
    const request = this.#table.get(idOf(body));
    // It has had its outcome: the answer of a former attempt, or one that comes too late.
    if (request === undefined) return;
    switch (kind) {
      case message.answer:
        this.#answered(request, attemptOf(body), parseAnswer(body));
        return;
      case message.error:
        if (attemptOf(body) === request.attempt) this.#fail(request, parseError(body));
        return;
      case message.refusal:
        if (attemptOf(body) === request.attempt && request.lane !== undefined) this.#refused(request, request.lane, body);
        return;
      default:
        return;
    }
  }

  /** An answer counts whichever attempt it is of: success beats what a later attempt may meet. */
  #answered(request: PendingRequest, attempt: number, answer: RequestBody): void {
    if (attempt !== request.attempt) this.#sender.drop(request, "another attempt was answered");
    if (this.#end(request)) request.resolve(answer);
  }

  #refused(request: PendingRequest, lane: Lane, body: Uint8Array): void {
    const { reason, why } = parseRefusal(body);
    const error = errors.refused(lane.instance, reason, why);
    this.#ports.telemetry.count(metricNames.refused, 1, { reason });
    if (reason === "malformed") {
      this.#fail(request, error);
      return;
    }
    if (reason !== "abandoned") request.sent = false;
    if (reason === "reclassified") request.effect = "write";
    if (reason === "turned-away") this.#chooser.avoidServer(lane);
    // It waits for another server already.
    if (request.givenUp) lane.remove(request);
    else this.#mover.setback(request, reason, error);
  }

  // Ends.

  #expire(nowMonoMs: number): number {
    for (const request of this.#table.due(nowMonoMs)) {
      this.#sender.drop(request, "its deadline has passed");
      const { key, type, effect, sent, failure, lane } = request;
      this.#ports.telemetry.count(metricNames.expired);
      const why = failure === undefined ? "" : `; before that: ${failure.message}`;
      const never = request.attempt === 0 && lane === undefined;
      this.#fail(request, never ? errors.noServer(key, type, why) : errors.deadlineExceeded(key, type, effect, sent, why));
    }
    return this.#table.earliestDueMonoMs();
  }

  /** What find says about the key (an unknown table, say) ends the request; nothing of it escapes into whoever called. */
  #guard(request: PendingRequest, act: () => void): void {
    try {
      act();
    } catch (thrown) {
      if (!(thrown instanceof MusterError)) throw thrown;
      this.#sender.drop(request, errorOf(thrown).message);
      this.#fail(request, thrown);
    }
  }

  #fail(request: PendingRequest, error: MusterError): void {
    if (this.#end(request)) request.reject(request.mayHaveRun ? errors.afterAttempts(error) : error);
  }

  /** False when it has ended before: there is one outcome. */
  #end(request: PendingRequest): boolean {
    if (!this.#table.remove(request)) return false;
    request.lane?.remove(request);
    this.#search.remove(request);
    request.release?.();
    return true;
  }
}

function effectOf({ sent }: PendingRequest): "maybe" | "none" {
  return sent ? "maybe" : "none";
}

function findOptionsOf({ where, policy, seed }: RequestOptions): FindOptions | undefined {
  if (where === undefined && policy === undefined && seed === undefined) return undefined;
  return {
    ...(where === undefined ? {} : { where }),
    ...(policy === undefined ? {} : { policy }),
    ...(seed === undefined ? {} : { seed }),
  };
}
