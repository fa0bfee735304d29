import type { Clock, MusterError } from "../kernel/index.ts";
import { DeadlineSweep, type Link } from "../link/index.ts";
import { formatAddress } from "../transport/index.ts";
import type { CallerHello } from "./caller-hello.ts";
import { effectOfBody } from "./effect-rule.ts";
import * as errors from "./errors.ts";
import type { MessageWriter } from "./message-writer.ts";
import {
  type EncodedBody,
  type RefusalReason,
  RequestReader,
  encodeBody,
  message,
  nothing,
  parseCancel,
  parseTarget,
  startedVersion,
} from "./messages.ts";
import type { Ears } from "./multicast-ears.ts";
import { LinkEar } from "./multicast-link.ts";
import { saidMessage, voiceMessage } from "./multicast-wire.ts";
import type { RequestBody, ServerLimits } from "./options.ts";
import { Attempts } from "./attempts.ts";
import type { QueuedRequest } from "./served-queue.ts";
import { PassOn } from "./pass-on.ts";
import { ServedRequest } from "./served-request.ts";
import type { ServedService } from "./served-service.ts";
import type { ServedTarget } from "./served-target.ts";
import type { Tombstones } from "./tombstones.ts";
import type { Tracer } from "./tracer.ts";
import { parseTie, tieMessage } from "./twin-messages.ts";
import type { Twins } from "./twins.ts";

/** What a link needs of the server that it belongs to. */
export interface ServedLinkPorts {
  readonly clock: Clock;
  readonly limits: ServerLimits;
  readonly writer: MessageWriter;
  readonly tombstones: Tombstones;
  readonly twins: Twins;
  readonly tracer: Tracer | undefined;
  /** What datagrams bring; undefined where there are none. */
  readonly ears: Ears | undefined;
  target(table: string, instance: string, type: string, sequence: number): ServedTarget;
  /** The same with the declarations as they are now. */
  renew(target: ServedTarget): ServedTarget;
  isCurrent(target: ServedTarget): boolean;
  /** Ends an attempt that came over another link of the same caller. False when it is not there. */
  cancelElsewhere(link: ServedLink, id: number, attempt: number, error: MusterError): boolean;
  /** A handler has thrown. */
  failed(target: ServedTarget, thrown: unknown): void;
  refused(reason: RefusalReason): void;
  answered(): void;
  cancelled(): void;
}

/** One caller's connection: from its requests to the one answer that each of them gets. */
export class ServedLink {
  readonly token: string;
  readonly caller: { readonly name: string; readonly address: string };
  readonly #link: Link;
  readonly #ports: ServedLinkPorts;
  readonly #targets: (ServedTarget | undefined)[] = [];
  /** Requests whose handler promised an answer. */
  readonly #running = new Attempts<ServedRequest>();
  /** Requests that wait for their turn. */
  readonly #queued = new Attempts<QueuedRequest>();
  /** With memory for the bodies of this caller only. */
  readonly #reader = new RequestReader();
  readonly #sweep: DeadlineSweep;
  readonly #ear: LinkEar;

  constructor(link: Link, hello: CallerHello, ports: ServedLinkPorts) {
    this.token = hello.token;
    this.caller = Object.freeze({ name: hello.name, address: formatAddress(link.peer) });
    this.#link = link;
    this.#ports = ports;
    this.#sweep = new DeadlineSweep(ports.clock, (nowMonoMs) => this.#expire(nowMonoMs));
    this.#ear = new LinkEar(link, {
      ears: ports.ears,
      target: (...names) => ports.target(...names),
      current: (target) => this.#current(target),
      request: (target, bytes) => {
        this.#reader.read(bytes);
        if (this.#reader.effect === "write") throw errors.malformed("no write comes by datagram");
        this.#admit(target, bytes, this.nowMonoMs);
      },
    });
  }

  get nowMonoMs(): number {
    return this.#ports.clock.monoMs();
  }

  receive(kind: number, body: Uint8Array): void {
    switch (kind) {
      case message.request:
        this.#request(body);
        return;
      case message.cancel:
        this.#cancel(body);
        return;
      case message.target: {
        const { number, table, instance, type, sequence } = parseTarget(body);
        this.#targets[number] = this.#ports.target(table, instance, type, sequence);
        return;
      }
      case tieMessage:
        this.#tie(body);
        return;
      case voiceMessage:
        this.#ear.listen(body);
        return;
      case saidMessage: {
        const said = this.#ear.said(body);
        if (said !== undefined) this.receive(said.kind, said.body);
        return;
      }
      case message.ping:
        // Answers that wait to be read say the same.
        if (this.#deafness() === undefined) this.#link.send(message.pong, nothing);
        return;
      default:
        throw errors.malformed(`messages of kind ${kind} do not exist`);
    }
  }

  /** Ends the attempt if it waits or runs here. */
  cancel(id: number, attempt: number, error: MusterError): boolean {
    if (this.#dequeue(id, attempt) !== undefined) return true;
    const request = this.#running.get(id, attempt);
    if (request === undefined) return false;
    this.#running.delete(request);
    this.#ports.cancelled();
    request.abandon(error);
    return true;
  }

  /** Another copy of it has begun elsewhere: it goes if it still waits, and its caller is told. False when it does not wait here. */
  drop(id: number, attempt: number, why: string): boolean {
    if (this.#dequeue(id, attempt) === undefined) return false;
    this.#refuse(id, attempt, "twin", why);
    return true;
  }

  isRunning(id: number, attempt: number): boolean {
    return this.#running.get(id, attempt) !== undefined;
  }

  /** Its turn has come; what may have happened meanwhile is looked at again. */
  begin(queued: QueuedRequest): void {
    this.#queued.delete(queued);
    // Whoever asked has stopped waiting.
    if (queued.dueMonoMs <= this.nowMonoMs) return;
    const reader = this.#reader;
    reader.read(queued.message);
    const target = this.#current(queued.target);
    const { service } = target;
    if (service === undefined || !this.#isWelcome(target)) return;
    if (queued.twin !== undefined) this.#ports.twins.drop(queued.twin, this.token, queued.id);
    this.#start(target, service, queued.dueMonoMs);
  }

  /** Gives up what a handler still works on, and says so. */
  abandon(request: ServedRequest, error: MusterError): void {
    if (request.isAbandoned) return;
    this.#refuse(request.id, request.attempt, "abandoned", error.message);
    this.#running.delete(request);
    request.abandon(error);
  }

  /** No new requests, please. */
  sayClosing(): void {
    this.#link.send(message.closing, nothing);
  }

  close(error?: MusterError): void {
    this.#link.close(error);
  }

  /** The link has ended: handlers learn that nobody waits, and what waits never begins. */
  ended(): void {
    this.#sweep.stop();
    this.#ear.stop();
    const error = errors.cancelled("the caller's connection has ended");
    for (const request of this.#queued.all()) request.service.dequeue(request);
    this.#queued.clear();
    for (const request of this.#running.all()) request.abandon(error);
    this.#running.clear();
  }

  #request(bytes: Uint8Array): void {
    this.#reader.read(bytes);
    this.#admit(this.#target(this.#reader.target), bytes, this.#link.heardMonoMs);
  }

  /** What the reader holds, for this target; `bytes` is the whole of it. */
  #admit(target: ServedTarget, bytes: Uint8Array, nowMonoMs: number): void {
    const { limits, tombstones, twins } = this.#ports;
    const reader = this.#reader;
    const { id, attempt, bodyBytes } = reader;
    if (tombstones.take(this.token, id, attempt)) return;
    if (twins.take(this.token, id, attempt)) {
      this.#refuse(id, attempt, "twin", "another copy of it has begun");
      return;
    }
    const { service } = target;
    if (!this.#isWelcome(target) || service === undefined) return;
    const full = service.fullness(limits, bodyBytes) ?? this.#deafness();
    if (full !== undefined) {
      this.#refuse(id, attempt, "overloaded", full);
      return;
    }
    const dueMonoMs = nowMonoMs + reader.leftMs;
    if (service.isBusy) this.#enqueue(target, service, bytes, dueMonoMs);
    else this.#start(target, service, dueMonoMs);
  }

  /** Whether what the reader holds may begin here; whoever asked is told if not. */
  #isWelcome(target: ServedTarget): boolean {
    const { id, attempt, effect } = this.#reader;
    const { service, handle } = target;
    if (service === undefined || service.refusing !== undefined) {
      this.#refuse(id, attempt, "turned-away", service?.refusing ?? `${target.name} is not served here`);
      return false;
    }
    if (handle === undefined) {
      this.#refuse(id, attempt, "turned-away", `it does not answer requests of type ${target.type}`);
      return false;
    }
    if (target.outside !== undefined) {
      this.#refuse(id, attempt, "turned-away", target.outside);
      return false;
    }
    if (target.effect === "write" && effect !== "write" && this.#isWrite(target)) {
      this.#refuse(id, attempt, "reclassified", `${target.type} is a write`);
      return false;
    }
    return true;
  }

  /** Of a type that is, or may be, a write: what the request itself says. */
  #isWrite({ rule }: ServedTarget): boolean {
    if (rule === undefined) return true;
    try {
      return effectOfBody(rule, this.#reader.body()) === "write";
    } catch {
      return true;
    }
  }

  #enqueue(target: ServedTarget, service: ServedService, bytes: Uint8Array, dueMonoMs: number): void {
    const { id, attempt, bodyBytes } = this.#reader;
    const whole = { target, message: Buffer.from(bytes), bodyBytes, dueMonoMs };
    const queued: QueuedRequest = { link: this, service, id, attempt, ...whole, isOver: false, twin: undefined, sibling: undefined };
    this.#queued.add(queued);
    service.enqueue(queued);
    this.#sweep.watch(dueMonoMs);
  }

  #dequeue(id: number, attempt: number): QueuedRequest | undefined {
    const queued = this.#queued.get(id, attempt);
    if (queued === undefined) return undefined;
    this.#queued.delete(queued);
    this.#ports.cancelled();
    queued.service.dequeue(queued);
    return queued;
  }

  /** What the reader holds begins. */
  #start(target: ServedTarget, service: ServedService, dueMonoMs: number): void {
    const reader = this.#reader;
    const { handle } = target;
    if (handle === undefined) return;
    const request = new ServedRequest(this, service, reader.id, reader.attempt, reader.bodyBytes, dueMonoMs, reader.trace);
    const { tell } = reader;
    const { tracer } = this.#ports;
    let result: RequestBody | undefined | Promise<RequestBody | undefined>;
    try {
      const body = reader.body();
      result =
        tracer === undefined || target.isOwn ? handle(body, request) : request.traced(tracer, target.type, () => handle(body, request));
    } catch (thrown) {
      this.#failed(request, target, thrown);
      return;
    }
    if (result instanceof Promise) this.#await(request, target, result, tell);
    else this.#answer(request, target, result);
  }

  #target(number: number): ServedTarget {
    const target = this.#targets[number];
    if (target === undefined) throw errors.malformed(`nobody said what the target ${number} is`);
    const current = this.#current(target);
    if (current !== target) this.#targets[number] = current;
    return current;
  }

  #current(target: ServedTarget): ServedTarget {
    return this.#ports.isCurrent(target) ? target : this.#ports.renew(target);
  }

  #deafness(): string | undefined {
    const { bufferedBytes } = this.#link;
    return bufferedBytes > this.#ports.limits.answersBufferedBytesMax
      ? `${bufferedBytes} bytes of answers wait for this caller to read them`
      : undefined;
  }

  #await(request: ServedRequest, target: ServedTarget, promise: Promise<RequestBody | undefined>, tell: boolean): void {
    request.service.begin(request);
    this.#running.add(request);
    if (tell) this.#link.send(message.started, this.#ports.writer.started(request.id, request.attempt));
    this.#sweep.watch(request.dueMonoMs);
    promise.then(
      (answer) => {
        this.#forget(request);
        if (!request.isAbandoned) this.#answer(request, target, answer);
      },
      (thrown: unknown) => {
        this.#forget(request);
        if (!request.isAbandoned) this.#failed(request, target, thrown);
      },
    );
  }

  #forget(request: ServedRequest): void {
    this.#running.delete(request);
    request.service.end(request);
  }

  #answer(request: ServedRequest, target: ServedTarget, answer: RequestBody | undefined): void {
    let encoded: EncodedBody;
    try {
      encoded = encodeBody(answer, "done");
    } catch (thrown) {
      this.#failed(request, target, thrown);
      return;
    }
    this.#ports.answered();
    const underWay = this.#link.version >= startedVersion ? request.service.inFlight : undefined;
    this.#link.sendParts(message.answer, this.#ports.writer.answerHead(request.id, request.attempt, encoded, underWay), encoded);
  }

  #failed(request: ServedRequest, target: ServedTarget, thrown: unknown): void {
    if (thrown instanceof PassOn) {
      this.#refuse(request.id, request.attempt, "turned-away", thrown.message);
      return;
    }
    const error = errors.handlerError(thrown);
    this.#ports.failed(target, thrown);
    this.#link.send(message.error, this.#ports.writer.error(request.id, request.attempt, error));
  }

  #refuse(id: number, attempt: number, reason: RefusalReason, why: string): void {
    this.#ports.refused(reason);
    this.#link.send(message.refusal, this.#ports.writer.refusal(id, attempt, reason, why));
  }

  /** Another copy of a request is elsewhere: of the two the one that begins first is to be the only one. */
  #tie(bytes: Uint8Array): void {
    const { id, attempt, twin } = parseTie(bytes);
    const queued = this.#queued.get(id, attempt);
    if (queued !== undefined) queued.twin = twin;
    else if (this.isRunning(id, attempt)) this.#ports.twins.drop(twin, this.token, id);
  }

  #cancel(bytes: Uint8Array): void {
    const { id, attempt, where, leftMs, reason } = parseCancel(bytes);
    const { tombstones } = this.#ports;
    if (where === "waiting") {
      this.drop(id, attempt, reason);
      return;
    }
    const error = errors.cancelled(reason);
    if (this.cancel(id, attempt, error) || where === "here") return;
    const nowMonoMs = this.nowMonoMs;
    // It has not come yet, and must not begin when it does.
    if (!this.#ports.cancelElsewhere(this, id, attempt, error)) tombstones.add(this.token, id, attempt, nowMonoMs + leftMs, nowMonoMs);
  }

  #expire(nowMonoMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const queued of this.#queued.all())
      if (queued.dueMonoMs <= nowMonoMs) {
        this.#queued.delete(queued);
        queued.service.dequeue(queued);
      } else if (queued.dueMonoMs < earliest) earliest = queued.dueMonoMs;
    for (const request of this.#running.all())
      if (request.dueMonoMs <= nowMonoMs) {
        this.#running.delete(request);
        request.abandon(errors.cancelled("its deadline has passed"));
      } else if (request.dueMonoMs < earliest) earliest = request.dueMonoMs;
    return earliest;
  }
}
