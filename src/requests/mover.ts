import type { Clock, MusterError, Telemetry } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Channel } from "./channel.ts";
import type { Chooser } from "./choose.ts";
import type { Copies } from "./copies.ts";
import { type Setback, isFree, judge } from "./decide.ts";
import * as errors from "./errors.ts";
import type { Lane } from "./lane.ts";
import type { LaneBook } from "./lane-book.ts";
import { accusationOf } from "./lane-index.ts";
import { metricNames } from "./metrics.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { Search } from "./search.ts";
import type { Sender } from "./sender.ts";

export interface MoverPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly book: LaneBook;
  readonly chooser: Chooser;
  readonly copies: Copies;
  readonly sender: Sender;
  readonly search: Search;
  readonly fail: (request: PendingRequest, error: MusterError) => void;
  /** Runs `act`; what it throws ends the request. */
  readonly guard: (request: PendingRequest, act: () => void) => void;
}

/** Does what `judge` says about requests whose attempt met something else than an answer. */
export class Mover {
  readonly #ports: MoverPorts;

  constructor(ports: MoverPorts) {
    this.#ports = ports;
  }

  setback(request: PendingRequest, setback: Setback, error: MusterError): void {
    const { telemetry, sender, search, guard, copies } = this.#ports;
    request.failure = error;
    if (copies.replaceMain(request)) return;
    switch (judge(setback, request)) {
      case "stay":
        return;
      case "unknown":
        telemetry.count(metricNames.unknown);
        this.#ports.fail(request, errors.unknownOutcome(request.key, request.type, error.message, error));
        return;
      case "leave":
        search.add(request);
        guard(request, () => this.tryLeave(request));
        return;
      case "move-paid":
        if (sender.pay(request)) break;
        if (setback === "overloaded" || !sender.owe(request)) {
          this.spent(request);
          this.#ports.fail(request, setback === "overloaded" ? error : errors.budgetSpent(request.key, request.type, error));
          return;
        }
        telemetry.count(metricNames.budgetWaits);
        if (request.record !== undefined) request.record.counts.budgetWaits++;
        this.#wait(request);
        return;
      case "move":
        if (request.sent) request.freeMoves++;
    }
    guard(request, () => this.#move(request, setback, error));
  }

  /** It fails because the budget of its type is spent. */
  spent({ record }: PendingRequest): void {
    this.#ports.telemetry.count(metricNames.budgetSpent);
    if (record !== undefined) record.counts.budgetSpent++;
  }

  /** Every request of these lanes that something is said against now. */
  judgeLanes(lanes: ReadonlySet<Lane>): void {
    for (const lane of lanes) {
      const { channel } = lane;
      if (lane.inFlight === 0 && channel === undefined) continue;
      const accusation = accusationOf(this.#ports.replica, lane);
      if (accusation === undefined) continue;
      const error = errors.serverGone(lane.instance, accusation.why);
      this.#ports.copies.leave(lane, error.message);
      this.#eachIn(lane, (request) => this.setback(request, accusation.kind === "avoided" ? "avoided" : "gone", error));
      // Nothing comes over a dead path any more; and when it is mended, this connection would notice late.
      if (accusation.kind === "path" && channel !== undefined && !channel.hasEnded) this.#abandon(channel, error);
    }
  }

  /** The connection is no more, or never was: nothing was sent then. */
  ended(channel: Channel, wasOpen: boolean, cause: MusterError): void {
    this.#leave(channel.lanes, cause);
    for (const lane of [...channel.lanes])
      this.#eachIn(
        lane,
        (request) =>
          wasOpen && request.sent
            ? this.setback(request, "lost", errors.lost(lane.place, cause))
            : this.setback(request, "unreached", errors.unreachable(lane.place, cause)),
        (request) => lane.remove(request),
      );
  }

  /** There is no connection yet, or nothing is heard over it any more. */
  silent(channel: Channel, cause: MusterError): void {
    const setback = channel.link === undefined ? "impatient" : "silent";
    this.#leave(channel.lanes, cause);
    for (const lane of [...channel.lanes]) this.#eachIn(lane, (request) => this.setback(request, setback, cause));
  }

  /** Moves a request that need not move, if there is a better place for it and its move is free or paid for. */
  tryLeave(request: PendingRequest): void {
    const { clock, replica, chooser, sender, copies } = this.#ports;
    if (copies.replaceMain(request)) return;
    const { lane } = request;
    const nowMonoMs = clock.monoMs();
    const to = chooser.choose(request, lane, nowMonoMs);
    if (to === undefined) return;
    if (request.sent) {
      // Where nobody is left but servers that are avoided, too, one of them is as good as the next, as long as it is heard.
      if (lane?.channel?.isSilent !== true && accusationOf(replica, to) !== undefined) return;
      // It has an attempt that may be answered: nothing is lost by staying.
      if (!sender.mayTryAgain(request)) return;
      if (isFree(request)) request.freeMoves++;
      else if (!sender.pay(request)) return;
    }
    this.transfer(request, to, nowMonoMs);
  }

  transfer(request: PendingRequest, to: Lane, nowMonoMs: number): void {
    const { telemetry, sender, search } = this.#ports;
    search.remove(request);
    telemetry.count(metricNames.moved);
    if (request.record !== undefined) request.record.counts.moved++;
    sender.transfer(request, to, nowMonoMs);
  }

  #move(request: PendingRequest, setback: Setback, error: MusterError): void {
    const { clock, chooser } = this.#ports;
    const from = request.lane;
    const nowMonoMs = clock.monoMs();
    const to = chooser.choose(request, setback === "reclassified" ? undefined : from, nowMonoMs);
    if (to !== undefined) {
      this.transfer(request, to, nowMonoMs);
      return;
    }
    if (setback === "overloaded") {
      this.#ports.fail(request, error);
      return;
    }
    this.#wait(request);
  }

  /** For a server, or for what the next attempt costs. An answer that still comes is taken, as long as there is somewhere for it to come from. */
  #wait(request: PendingRequest): void {
    const { lane } = request;
    request.givenUp = true;
    if (lane !== undefined && (!request.sent || lane.channel === undefined || lane.channel.hasEnded)) lane.remove(request);
    this.#ports.search.add(request);
  }

  #abandon(channel: Channel, error: MusterError): void {
    const lanes = [...channel.lanes];
    this.#leave(lanes, error);
    this.#ports.book.close(channel, error);
    for (const lane of lanes)
      this.#eachIn(
        lane,
        (request) => this.setback(request, request.sent ? "gone" : "unreached", error),
        (request) => lane.remove(request),
      );
  }

  /** Further copies first: none of them is to take the place of one that is on the same connection. */
  #leave(lanes: Iterable<Lane>, { message }: MusterError): void {
    for (const lane of lanes) this.#ports.copies.leave(lane, message);
  }

  /** Those that are still there when their turn comes: what happens to one may concern others. */
  #eachIn(lane: Lane, act: (request: PendingRequest) => void, givenUp?: (request: PendingRequest) => void): void {
    for (const request of lane.requests()) {
      if (request.lane !== lane) continue;
      if (!request.givenUp) act(request);
      else givenUp?.(request);
    }
  }
}
