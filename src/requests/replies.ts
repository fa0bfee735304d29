import type { Clock, MusterError, Telemetry } from "../kernel/index.ts";
import type { Channel } from "./channel.ts";
import type { Chooser } from "./choose.ts";
import type { Copies } from "./copies.ts";
import * as errors from "./errors.ts";
import type { Lane } from "./lane.ts";
import { attemptOf, idOf, message, parseAnswer, parseError, parseRefusal, underWayOf } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import type { Mover } from "./mover.ts";
import type { RequestBody } from "./options.ts";
import type { PendingRequest, PendingTable } from "./pending-table.ts";
import type { RequestSpan } from "./tracer.ts";

export interface RepliesPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly table: PendingTable;
  readonly chooser: Chooser;
  readonly copies: Copies;
  readonly mover: Mover;
  readonly resolve: (request: PendingRequest, answer: RequestBody) => void;
  readonly fail: (request: PendingRequest, error: MusterError) => void;
}

/** What servers say about requests, and what follows from it. */
export class Replies {
  readonly #ports: RepliesPorts;

  constructor(ports: RepliesPorts) {
    this.#ports = ports;
  }

  received(channel: Channel, kind: number, body: Uint8Array): void {
    // A pong is heard by its link, which is all that it is for.
    if (kind === message.closing || kind === message.pong) {
      channel.isClosing ||= kind === message.closing;
      return;
    }
    const request = this.#ports.table.get(idOf(body));
    // It has had its outcome: the answer of a former attempt, or one that comes too late.
    if (request === undefined) return;
    switch (kind) {
      case message.answer:
        this.#answered(request, channel, body);
        return;
      case message.error:
        this.#failed(request, attemptOf(body), parseError(body));
        return;
      case message.refusal:
        if (attemptOf(body) !== request.attempt) this.#copyRefused(request, body);
        else if (request.lane !== undefined) this.#refused(request, request.lane, body);
        return;
      case message.started:
        this.#ports.copies.started(request, channel, attemptOf(body), this.#heardMonoMs(channel));
        return;
      default:
        return;
    }
  }

  /** An answer counts whichever attempt it is of: success beats what a later attempt may meet. */
  #answered(request: PendingRequest, channel: Channel, body: Uint8Array): void {
    const version = channel.link?.version ?? 0;
    const answer = parseAnswer(body, version, channel.bodies);
    const attempt = attemptOf(body);
    const nowMonoMs = this.#heardMonoMs(channel);
    if (request.carried?.span !== undefined) noteAnswer(request.carried.span, request, attempt);
    this.#ports.copies.answered(request, channel, attempt, underWayOf(body, version), nowMonoMs);
    request.record?.latency.add(nowMonoMs - (request.dueMonoMs - request.deadlineMs));
    this.#ports.resolve(request, answer);
  }

  /** When what is read now has come. */
  #heardMonoMs({ link }: Channel): number {
    return link?.heardMonoMs ?? this.#ports.clock.monoMs();
  }

  /** A handler has failed. It counts if no other copy can still be answered; of an attempt that was left it never does. */
  #failed(request: PendingRequest, attempt: number, error: MusterError): void {
    const { copies, fail } = this.#ports;
    this.#noteFailure(request, attempt, error);
    if (!copies.survives(request, attempt, error)) fail(request, request.copies?.error ?? error);
  }

  /** How quickly a server fails says nothing for it. */
  #noteFailure(request: PendingRequest, attempt: number, { code }: MusterError): void {
    const { clock, chooser } = this.#ports;
    const at = attempt === request.attempt ? request : request.copies?.spareOf(attempt);
    if (at?.lane === undefined) return;
    const nowMonoMs = clock.monoMs();
    const { lane } = at;
    const others = chooser.usualOfOthers(request.plan, lane, nowMonoMs);
    const tookMs = nowMonoMs - at.sentMonoMs;
    if (code !== "requests/handler-failed") lane.load.erred(tookMs, others, lane.inFlight - 1, nowMonoMs);
    else if (lane.load.failed(tookMs, others, lane.inFlight - 1, nowMonoMs)) chooser.eject(request, lane, nowMonoMs);
  }

  #copyRefused(request: PendingRequest, body: Uint8Array): void {
    const { telemetry, chooser, copies } = this.#ports;
    const { reason } = parseRefusal(body);
    const lane = copies.refused(request, attemptOf(body), reason === "abandoned");
    if (lane === undefined) return;
    telemetry.count(metricNames.refused, 1, { reason });
    if (reason === "reclassified") request.effect = "write";
    if (reason === "turned-away") chooser.avoidServer(lane);
  }

  #refused(request: PendingRequest, lane: Lane, body: Uint8Array): void {
    const { telemetry, chooser, mover, fail } = this.#ports;
    const { reason, why } = parseRefusal(body);
    const error = errors.refused(lane.instance, reason, why);
    telemetry.count(metricNames.refused, 1, { reason });
    if (reason === "malformed") {
      fail(request, error);
      return;
    }
    if (reason !== "abandoned") request.sent = false;
    if (reason === "reclassified") request.effect = "write";
    if (reason === "turned-away") chooser.avoidServer(lane);
    // It waits for another server already.
    if (request.givenUp) lane.remove(request);
    else mover.setback(request, reason === "twin" ? "turned-away" : reason, error);
  }
}

function noteAnswer(span: RequestSpan, { attempt: main, lane, copies }: PendingRequest, attempt: number): void {
  const place = attempt === main ? lane : copies?.spareOf(attempt)?.lane;
  if (place !== undefined) span.answered(attempt, place);
}
