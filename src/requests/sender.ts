import type { Clock, MusterError, Telemetry } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Channel } from "./channel.ts";
import { stricter } from "./decide.ts";
import { type Declaration, declarationKey, declarationOf, serviceOf } from "./declarations.ts";
import { effectOfEncoded } from "./effect-rule.ts";
import { attemptsSpent, overloaded } from "./errors.ts";
import { notARead } from "./gather-errors.ts";
import type { Lane, LaneType } from "./lane.ts";
import type { LaneBook } from "./lane-book.ts";
import { MessageWriter } from "./message-writer.ts";
import { encodeTarget, message, startedVersion, traceVersion } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import type { Choir, Copy } from "./multicast-choir.ts";
import { encodeSaid, saidMessage } from "./multicast-wire.ts";
import type { RequestEffect, RequestLimits } from "./options.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { Spare } from "./spare.ts";
import type { SendKind } from "./tracer.ts";
import { encodeTie, tieMessage } from "./twin-messages.ts";
import { TypeRecord } from "./type-record.ts";

export interface SenderPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly book: LaneBook;
  readonly limits: RequestLimits;
  /** Too much is on its way to that server: the request was not sent. */
  readonly overloaded: (request: PendingRequest, error: MusterError) => void;
  readonly fail: (request: PendingRequest, error: MusterError) => void;
  /** What goes out by multicast; undefined where there is none. */
  readonly choir: Choir | undefined;
  /** The main copy of a read is on its way, and there are other servers. `tells`: its server says when it begins. */
  readonly sent: (request: PendingRequest, tells: boolean, nowMonoMs: number) => void;
}

const recordsMax = 10_000;
const laneTypesMax = 1000;
/** So many times what a budget can save may wait for it. */
const owingBursts = 10;

/** Puts requests into lanes and onto links, and takes them back. */
export class Sender {
  readonly #ports: SenderPorts;
  readonly #writer = new MessageWriter();
  readonly #records = new Map<string, TypeRecord>();
  /** Grows with every change of the declarations. */
  #generation = 0;
  #sent = 0;

  constructor(ports: SenderPorts) {
    this.#ports = ports;
  }

  /** Messages that asked a server for something. */
  get sent(): number {
    return this.#sent;
  }

  /** What is known of each type that was asked for. */
  get records(): Iterable<TypeRecord> {
    return this.#records.values();
  }

  /** Declarations have changed. */
  renew(): void {
    this.#generation++;
  }

  /** What the request does, as far as anybody knows who would send it there. */
  classify(request: PendingRequest, lane: Lane): LaneType {
    const type = this.#typeOf(lane, request.type);
    const { rule, sequence } = type.declaration;
    const effect = rule === undefined ? type.declaration.effect : effectOfEncoded(rule, request.body);
    const said = sequence === 0 ? (request.askedEffect ?? "write") : stricter(effect, request.askedEffect ?? "read");
    // Once a server has called it a write it stays one.
    request.effect = request.attempts === 0 ? said : stricter(request.effect, said);
    request.copying = request.effect === "read" ? (request.askedCopies ?? type.declaration.copies ?? "tied") : "none";
    return type;
  }

  /** What the lane's service has declared. */
  declarationOf(lane: Lane, type: string): Declaration {
    return this.#typeOf(lane, type).declaration;
  }

  /** The request is in this lane from now on; it is sent as soon as there is a connection. */
  enter(request: PendingRequest, lane: Lane, nowMonoMs: number): void {
    request.mayHaveRun ||= request.sent;
    request.sent = false;
    request.givenUp = false;
    lane.add(request);
    const channel = this.#ports.book.channel(lane);
    channel.usedMonoMs = nowMonoMs;
    if (channel.link === undefined) this.classify(request, lane);
    else this.send(request, lane, channel, channel.link, nowMonoMs);
  }

  /** From the lane where it is into another one; the server that it leaves is told. */
  transfer(request: PendingRequest, to: Lane, nowMonoMs: number): void {
    const from = request.lane;
    if (request.sent && from !== undefined) {
      this.drop(request, "it was sent to another server");
      // The same server by another way: what the old way holds up comes late, and must not begin then.
      if (from.instance === to.instance && from.table === to.table && from.place !== to.place) request.dropAttempt = request.attempt;
    }
    from?.remove(request);
    this.enter(request, to, nowMonoMs);
  }

  send(request: PendingRequest, lane: Lane, channel: Channel, link: Link, nowMonoMs: number): void {
    const { limits, overloaded: tooMuch, fail } = this.#ports;
    const { key, type: name, attempts, failure } = request;
    if (attempts >= limits.attemptsMax) {
      fail(request, attemptsSpent(key, name, attempts, failure));
      return;
    }
    if (link.bufferedBytes > limits.bufferedBytesMax) {
      tooMuch(request, overloaded(`more than ${limits.bufferedBytesMax} bytes are on their way to ${lane.instance}`));
      return;
    }
    const type = this.classify(request, lane);
    if (request.neverWrite && request.effect === "write") {
      fail(request, notARead(key, name));
      return;
    }
    const { record } = type;
    request.record = record;
    if (request.dropAttempt > 0) {
      const leftMs = leftOf(request, nowMonoMs);
      const why = "it was sent again over another route";
      link.send(message.cancel, this.#writer.cancel(request.id, request.dropAttempt, "elsewhere", leftMs, why));
      request.dropAttempt = 0;
    }
    if (attempts === 0) record.budget.earn();
    const isTied = request.copying === "tied" && request.plan !== undefined && request.plan.lanes.length > 1;
    const tells = isTied && link.version >= startedVersion;
    request.attempt = this.#put(request, lane, channel, link, type, tells, attempts === 0 ? "first" : "again", nowMonoMs);
    request.sent = true;
    request.sentMonoMs = nowMonoMs;
    if (isTied) this.#ports.sent(request, tells, nowMonoMs);
  }

  /** A further copy, over a connection that stands. False when it cannot be sent now. */
  sendSpare(spare: Spare, channel: Channel, link: Link, nowMonoMs: number): boolean {
    const { request, lane, kind } = spare;
    const { limits } = this.#ports;
    if (!this.mayTryAgain(request) || link.bufferedBytes > limits.bufferedBytesMax) return false;
    const type = this.classify(request, lane);
    if (request.effect !== "read") return false;
    request.record = type.record;
    spare.attempt = this.#put(request, lane, channel, link, type, kind !== "all" && link.version >= startedVersion, kind, nowMonoMs);
    spare.sentMonoMs = nowMonoMs;
    return true;
  }

  /** Returns the number of the attempt. */
  #put(
    request: PendingRequest,
    lane: Lane,
    channel: Channel,
    link: Link,
    type: LaneType,
    tells: boolean,
    kind: SendKind,
    nowMonoMs: number,
  ): number {
    const attempt = request.attempts + 1;
    request.attempts = attempt;
    this.#sent++;
    const leftMs = leftOf(request, nowMonoMs);
    request.carried?.span?.sent(kind, attempt, lane);
    const { choir } = this.#ports;
    const { effect } = request;
    if (choir?.isOpen === true && choir.take({ request, lane, channel, link, type, attempt, effect, leftMs, tells })) return attempt;
    const target = type.target?.value ?? nameTarget(lane, channel, link, request.type, type);
    link.sendParts(message.request, this.#headOf(request, link, attempt, effect, target, leftMs, tells), request.body);
    return attempt;
  }

  /** A copy that was to go out by multicast. `sequence`: of the datagram that may have brought it. */
  overLink({ request, lane, channel, link, type, attempt, effect }: Copy, sequence: number | undefined): void {
    const target = type.target?.value ?? nameTarget(lane, channel, link, request.type, type);
    const leftMs = leftOf(request, this.#ports.clock.monoMs());
    const head = this.#headOf(request, link, attempt, effect, target, leftMs, false);
    if (sequence === undefined) link.sendParts(message.request, head, request.body);
    else {
      this.#sent++;
      const body = typeof request.body === "string" ? Buffer.from(request.body) : request.body;
      link.send(saidMessage, encodeSaid(sequence, message.request, Buffer.concat([head, body])));
    }
  }

  #headOf(
    { id, body, carried }: PendingRequest,
    link: Link,
    attempt: number,
    effect: RequestEffect,
    target: number,
    leftMs: number,
    tells: boolean,
  ): Buffer {
    const trace = carried !== undefined && link.version >= traceVersion ? carried.text : undefined;
    return this.#writer.requestHead(id, attempt, effect, target, leftMs, body, tells, trace);
  }

  /** Tells the server of the main copy that nobody waits for it. */
  drop(request: PendingRequest, why: string): void {
    if (request.sent && request.lane !== undefined) this.cancel(request, request.lane, request.attempt, why);
  }

  /** Tells a server that nobody waits for this attempt. */
  cancel(request: PendingRequest, lane: Lane, attempt: number, why: string): void {
    const link = lane.channel?.link;
    if (link === undefined) return;
    const leftMs = leftOf(request, this.#ports.clock.monoMs());
    const bytes = this.#writer.cancel(request.id, attempt, "here", leftMs, why);
    const sequence = request.said?.get(attempt);
    if (sequence === undefined) link.send(message.cancel, bytes);
    else link.send(saidMessage, encodeSaid(sequence, message.cancel, bytes));
  }

  /** The same, unless it has begun. False where the server does not know the difference: then it was cancelled. */
  cancelWaiting(request: PendingRequest, lane: Lane, attempt: number, why: string): boolean {
    const link = lane.channel?.link;
    if (link === undefined) return true;
    const tells = link.version >= startedVersion;
    const leftMs = leftOf(request, this.#ports.clock.monoMs());
    link.send(message.cancel, this.#writer.cancel(request.id, attempt, tells ? "waiting" : "here", leftMs, why));
    return tells;
  }

  /** Tells the servers of two copies of each other, so that the one that begins can stop the other without asking here. */
  tie(request: PendingRequest, twin: Spare): void {
    const { lane, id, attempt } = request;
    if (lane === undefined || !request.sent || !twin.isSent || !this.tells(lane) || !this.tells(twin.lane)) return;
    const here = { address: lane.address, port: lane.port, attempt };
    const there = { address: twin.lane.address, port: twin.lane.port, attempt: twin.attempt };
    lane.channel?.link?.send(tieMessage, encodeTie({ id, attempt, twin: there }));
    twin.lane.channel?.link?.send(tieMessage, encodeTie({ id, attempt: twin.attempt, twin: here }));
  }

  /** Whether the server says when it begins. */
  tells(lane: Lane): boolean {
    const version = lane.channel?.link?.version;
    return version !== undefined && version >= startedVersion;
  }

  /** Whether it may be sent once more. */
  mayTryAgain({ attempts }: PendingRequest): boolean {
    return attempts < this.#ports.limits.attemptsMax;
  }

  /** Takes one re-send from the budget of its type; false when that is spent. */
  pay({ record }: PendingRequest): boolean {
    return record === undefined || record.budget.take();
  }

  /** It waits until the budget of its type pays. False when so many wait already that it would wait in vain. */
  owe(request: PendingRequest): boolean {
    const { record } = request;
    if (record === undefined || record.owing >= owingBursts * this.#ports.limits.retryBurst) return false;
    record.owing++;
    request.owes = record;
    return true;
  }

  #typeOf(lane: Lane, name: string): LaneType {
    const { lastType } = lane;
    if (lastType !== undefined && lastType.name === name && lastType.generation === this.#generation) return lastType;
    const known = lane.types.get(name);
    if (known !== undefined && known.generation === this.#generation) {
      lane.lastType = known;
      return known;
    }
    const service = serviceOf(lane.instance);
    const declaration = declarationOf(this.#ports.replica, service, name);
    const target = known?.declaration.sequence === declaration.sequence ? known.target : undefined;
    const record = this.#recordOf(service, name, declaration.budget);
    const type: LaneType = { name, declaration, generation: this.#generation, record, target };
    if (lane.types.size >= laneTypesMax) lane.types.clear();
    lane.types.set(name, type);
    lane.lastType = type;
    return type;
  }

  #recordOf(service: string, type: string, share: number | undefined): TypeRecord {
    const name = declarationKey(service, type);
    const { retryShare, retryBurst } = this.#ports.limits;
    let record = this.#records.get(name);
    if (record === undefined) {
      if (this.#records.size >= recordsMax) this.#records.clear();
      record = new TypeRecord(service, type, share ?? retryShare, retryBurst);
      this.#records.set(name, record);
      this.#show(name, service, type);
    }
    record.budget.share = share ?? retryShare;
    return record;
  }

  #show(name: string, service: string, type: string): void {
    for (const share of [0.5, 0.95, 0.99, 0.999]) {
      const labels = { service, type, quantile: String(share) };
      this.#ports.telemetry.gauge(metricNames.attemptMs, () => this.#records.get(name)?.times.quantileMs(share) ?? Number.NaN, labels);
    }
  }
}

/** Tells the server what a number means from now on. */
function nameTarget(lane: Lane, channel: Channel, link: Link, name: string, type: LaneType): number {
  const number = channel.nextTarget();
  type.target = number;
  const { value } = number;
  const { sequence } = type.declaration;
  link.send(message.target, encodeTarget({ number: value, table: lane.table, instance: lane.instance, type: name, sequence }));
  return value;
}

function leftOf({ dueMonoMs }: PendingRequest, nowMonoMs: number): number {
  return Math.max(1, Math.ceil(dueMonoMs - nowMonoMs));
}
