import type { Clock, MusterError, Telemetry } from "../kernel/index.ts";
import type { Channel } from "./channel.ts";
import type { Chooser } from "./choose.ts";
import { CopyClock } from "./copy-clock.ts";
import { DueRing } from "./due-ring.ts";
import type { Lane } from "./lane.ts";
import type { LaneBook } from "./lane-book.ts";
import { metricNames } from "./metrics.ts";
import { type PendingRequest, settleDebt } from "./pending-table.ts";
import type { Search } from "./search.ts";
import type { Sender } from "./sender.ts";
import { CopySet, Spare, type SpareKind } from "./spare.ts";

export interface CopiesPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly book: LaneBook;
  readonly chooser: Chooser;
  readonly sender: Sender;
  readonly search: Search;
  /** Runs `act`; what it throws ends the request. */
  readonly guard: (request: PendingRequest, act: () => void) => void;
}

/** A server that has not begun by then has something else to do; further away by as many times two as its distance needs. */
const tieMs = 1.5;
const tieClasses = 10;
/** So many times the way there and back: nobody is called late for living far away. */
const tieRoundTrips = 2;
const hedgesMax = 2;
/** Share of the budget that twins leave: when all are late for a moment, more is to be gained from those that take long. */
const keptForHedges = 0.2;

/**
 * Further copies of reads. When they go out: a twin to a second server when the first neither begins nor answers, a hedge when one has begun and
 * takes longer than usual. What they cost is taken from the budget of the type. How they end: the first answer of any copy counts; a copy
 * that meets something else is only taken away, as long as another one lives; when the main copy does, one of the others takes its place.
 */
export class Copies {
  readonly #ports: CopiesPorts;
  readonly #clock: CopyClock;
  readonly #twins = Array.from({ length: tieClasses }, (_, index) => this.#twinsAfter(tieMs * 2 ** index));
  readonly #hedgeDue = (request: PendingRequest, nowMonoMs: number) => this.#hedge(request, nowMonoMs);

  constructor(ports: CopiesPorts) {
    this.#ports = ports;
    this.#clock = new CopyClock(ports.clock);
  }

  stop(): void {
    this.#clock.stop();
  }

  // When copies go out.

  /** The main copy is on its way. */
  sent(request: PendingRequest, tells: boolean, nowMonoMs: number): void {
    const { copies } = request;
    if (copies !== undefined) {
      copies.startedMonoMs = 0;
      copies.hedgeMonoMs = 0;
    }
    if (!tells) this.#began(request, request.attempt, nowMonoMs);
    else {
      const wantedMs = tieRoundTrips * (request.lane?.channel?.roundTrip.leastMs ?? 0);
      let index = 0;
      while (index < tieClasses - 1 && tieMs * 2 ** index < wantedMs) index++;
      const twins = this.#twins[index];
      if (twins !== undefined) this.#clock.watch(twins, request, nowMonoMs + twins.afterMs, nowMonoMs);
    }
  }

  #twinsAfter(afterMs: number) {
    const isLive = (request: PendingRequest, dueMonoMs: number) => {
      if (request.hasEnded || request.sentMonoMs + afterMs !== dueMonoMs) return false;
      const { copies } = request;
      return copies === undefined || (copies.startedMonoMs === 0 && !copies.hasTwin);
    };
    return { afterMs, ring: new DueRing(isLive), due: (request: PendingRequest, nowMonoMs: number) => this.#twinDue(request, nowMonoMs) };
  }

  /** A server says that it works on this attempt. */
  started(request: PendingRequest, channel: Channel, attempt: number, nowMonoMs: number): void {
    if (attempt === request.attempt && request.sent) channel.roundTrip.add(nowMonoMs - request.sentMonoMs, nowMonoMs);
    if (attempt === request.attempt ? request.sent : request.copies?.spareOf(attempt) !== undefined)
      this.#began(request, attempt, nowMonoMs);
    this.#clock.passed(nowMonoMs);
  }

  /** To all the servers that can be asked, besides the one where the main copy goes. */
  toAll(request: PendingRequest, nowMonoMs: number): void {
    for (const lane of this.#ports.chooser.others(request, nowMonoMs)) this.#add(request, lane, "all", nowMonoMs);
  }

  /** There is a connection now for copies that waited for one. */
  opened(lane: Lane, channel: Channel, nowMonoMs: number): void {
    const { link } = channel;
    for (const spare of [...lane.spares])
      if (!spare.isSent && link !== undefined && !this.#ports.sender.sendSpare(spare, channel, link, nowMonoMs))
        spare.request.copies?.remove(spare);
  }

  #began(request: PendingRequest, attempt: number, nowMonoMs: number): void {
    request.copies ??= new CopySet();
    const { copies } = request;
    const spare = attempt === request.attempt ? undefined : copies.spareOf(attempt);
    if (spare === undefined) copies.startedMonoMs = nowMonoMs;
    else spare.startedMonoMs = nowMonoMs;
    if (copies.hasTwin) this.#dropTwin(request, copies, spare);
    if (copies.hedgeMonoMs === 0) this.#planHedge(request, copies, nowMonoMs);
  }

  /** One of a pair has begun: the other one goes away if it still waits. */
  #dropTwin(request: PendingRequest, copies: CopySet, begun: Spare | undefined): void {
    const twin = begun ?? copies.spares.find(({ kind }) => kind === "twin");
    if (twin?.kind !== "twin" || !twin.isSent) return;
    const { sender, telemetry } = this.#ports;
    const why = "another copy of it has begun";
    const other = begun === undefined ? twin.startedMonoMs : copies.startedMonoMs;
    if (other > 0) {
      if (!copies.bothStarted) {
        telemetry.count(metricNames.bothStarted);
        if (request.record !== undefined) request.record.counts.bothStarted++;
      }
      copies.bothStarted = true;
    } else if (begun === undefined) {
      if (!sender.cancelWaiting(request, twin.lane, twin.attempt, why)) copies.remove(twin);
    } else if (request.sent && request.lane !== undefined && !sender.cancelWaiting(request, request.lane, request.attempt, why))
      this.#promote(request, copies, twin);
  }

  #planHedge(request: PendingRequest, copies: CopySet, nowMonoMs: number): void {
    copies.hedgeMonoMs = 0;
    const { record } = request;
    const afterMs = record?.times.hedgeMs(record.budget.share);
    if (record === undefined || afterMs === undefined || copies.hedges >= hedgesMax) return;
    copies.hedgeMonoMs = nowMonoMs + afterMs;
    if (copies.hedgeMonoMs < request.dueMonoMs)
      this.#clock.watch({ ring: record.hedges, due: this.#hedgeDue }, request, copies.hedgeMonoMs, nowMonoMs);
  }

  #twinDue(request: PendingRequest, nowMonoMs: number): void {
    if (!request.sent) return;
    this.#ports.guard(request, () => {
      if (!this.#send(request, "twin", nowMonoMs)) return;
      const { copies } = request;
      const twin = copies?.spares.find(({ kind }) => kind === "twin");
      if (copies === undefined || twin === undefined) return;
      copies.hasTwin = true;
      this.#ports.sender.tie(request, twin);
    });
  }

  #hedge(request: PendingRequest, nowMonoMs: number): void {
    const { copies } = request;
    if (copies === undefined || !request.sent) return;
    this.#ports.guard(request, () => {
      if (this.#send(request, "hedge", nowMonoMs)) copies.hedges++;
      this.#planHedge(request, copies, nowMonoMs);
    });
  }

  /** False when there is nobody to send it to, or nothing to pay it with. */
  #send(request: PendingRequest, kind: "twin" | "hedge", nowMonoMs: number): boolean {
    const { chooser, sender, telemetry } = this.#ports;
    if (request.effect !== "read" || !sender.mayTryAgain(request)) return false;
    const lane = chooser.chooseOther(request, kind === "hedge" && (request.copies?.hedges ?? 0) > 0, nowMonoMs);
    if (lane === undefined) return false;
    if (request.record?.budget.take(kind === "twin" ? keptForHedges : 0) !== true) {
      telemetry.count(metricNames.copiesUnpaid, 1, { kind });
      if (request.record !== undefined) request.record.counts.copiesUnpaid[kind]++;
      return false;
    }
    this.#add(request, lane, kind, nowMonoMs);
    return true;
  }

  #add(request: PendingRequest, lane: Lane, kind: SpareKind, nowMonoMs: number): void {
    const { book, sender, telemetry } = this.#ports;
    request.copies ??= new CopySet();
    const spare = new Spare(request, lane, kind);
    const channel = book.channel(lane);
    channel.usedMonoMs = nowMonoMs;
    if (channel.link !== undefined && !sender.sendSpare(spare, channel, channel.link, nowMonoMs)) return;
    request.copies.spares.push(spare);
    request.copies.wereSent = true;
    lane.spares.add(spare);
    telemetry.count(metricNames.copies, 1, { kind });
    if (request.record !== undefined) request.record.counts.copies[kind]++;
    // An old server does not say when it begins.
    if (spare.isSent && !sender.tells(lane)) spare.startedMonoMs = nowMonoMs;
  }

  // How they end.

  /** An answer has come: what its server and its rivals took is noted, and the rivals are called off. */
  answered(request: PendingRequest, channel: Channel, attempt: number, underWay: number, nowMonoMs: number): void {
    const { copies, lane, record } = request;
    this.#clock.passed(nowMonoMs);
    if (attempt === request.attempt) {
      if (lane !== undefined && request.sent) {
        lane.load.answered(nowMonoMs - request.sentMonoMs, underWay, lane.inFlight - 1, nowMonoMs);
        if (copies === undefined) channel.roundTrip.add(nowMonoMs - request.sentMonoMs, nowMonoMs);
        if (request.effect === "read") record?.times.add(nowMonoMs - (copies?.startedMonoMs || request.sentMonoMs), nowMonoMs);
      }
    } else {
      const spare = copies?.spareOf(attempt);
      if (spare !== undefined && spare.lane.channel === channel) {
        spare.lane.load.answered(nowMonoMs - spare.sentMonoMs, underWay, spare.lane.inFlight - 1, nowMonoMs);
        record?.times.add(nowMonoMs - (spare.startedMonoMs || spare.sentMonoMs), nowMonoMs);
      }
      this.#lost(request, spare, nowMonoMs);
      this.#ports.sender.drop(request, "another copy was answered");
    }
    if (copies === undefined || !copies.wereSent) return;
    const winner = copies.spareOf(attempt);
    const won = winner?.kind ?? copies.mainKind;
    this.#ports.telemetry.count(metricNames.copyWins, 1, { copy: won });
    if (record !== undefined) record.counts.wins[won]++;
    for (const spare of copies.spares) if (spare !== winner) this.#cancel(spare, "another copy was answered");
  }

  /** The main copy lost against one that began later: it would have taken longer still. */
  #lost(request: PendingRequest, winner: Spare | undefined, nowMonoMs: number): void {
    const { lane, record, copies } = request;
    if (lane === undefined || !request.sent || request.givenUp || winner === undefined || winner.kind === "all") return;
    lane.load.isSlow(nowMonoMs - request.sentMonoMs, nowMonoMs);
    record?.times.add(nowMonoMs - (copies?.startedMonoMs || request.sentMonoMs), nowMonoMs);
    if (lane.load.lost(nowMonoMs)) this.#ports.chooser.eject(request, lane, nowMonoMs);
  }

  /** A handler has failed at one copy. False when no other lives: then the request ends with the first error of any. */
  survives(request: PendingRequest, attempt: number, error: MusterError): boolean {
    const { copies } = request;
    if (attempt === request.attempt) {
      if (copies === undefined) return false;
      copies.error ??= error;
      return this.replaceMain(request);
    }
    const spare = copies?.spareOf(attempt);
    if (copies === undefined || spare === undefined) return true;
    copies.error ??= error;
    request.mayHaveRun = true;
    copies.remove(spare);
    return true;
  }

  /** A server did not begin a copy, or gave it up. */
  refused(request: PendingRequest, attempt: number, wasBegun: boolean): Lane | undefined {
    const spare = request.copies?.spareOf(attempt);
    if (spare === undefined) return undefined;
    request.mayHaveRun ||= wasBegun;
    request.copies?.remove(spare);
    return spare.lane;
  }

  /**
   * Something happened to the main copy that would move or end it: if another copy is on its way, that is the main one from now on, and nothing
   * is sent. False when there is none.
   */
  replaceMain(request: PendingRequest): boolean {
    const { copies } = request;
    if (copies === undefined || copies.spares.length === 0) return false;
    const able = copies.spares.filter((spare) => spare.isSent && spare.lane.channel?.isSilent === false);
    const spare = able.find(({ startedMonoMs }) => startedMonoMs > 0) ?? able[0];
    if (spare === undefined) return false;
    this.#promote(request, copies, spare);
    return true;
  }

  /** The copies that wait for an answer from there are given up; those that wait for a connection, too. */
  leave(lane: Lane, why: string): void {
    for (const spare of [...lane.spares]) {
      this.#cancel(spare, why);
      spare.request.mayHaveRun ||= spare.isSent;
      spare.request.copies?.remove(spare);
    }
  }

  /** Nobody waits for any of them. */
  drop(request: PendingRequest, why: string): void {
    this.#ports.sender.drop(request, why);
    for (const spare of request.copies?.spares ?? []) this.#cancel(spare, why);
  }

  /** The request has had its outcome. */
  forget({ copies }: PendingRequest): void {
    if (copies === undefined) return;
    for (const spare of copies.spares) spare.lane.spares.delete(spare);
    copies.spares.length = 0;
  }

  #promote(request: PendingRequest, copies: CopySet, spare: Spare): void {
    this.#ports.sender.drop(request, "another copy of it goes on");
    request.mayHaveRun ||= request.sent;
    if (request.lane !== undefined) copies.left.push(request.lane);
    request.lane?.remove(request);
    copies.remove(spare);
    copies.mainKind = spare.kind;
    request.attempt = spare.attempt;
    request.sent = true;
    request.sentMonoMs = spare.sentMonoMs;
    request.givenUp = false;
    settleDebt(request);
    copies.startedMonoMs = spare.startedMonoMs;
    spare.lane.add(request);
    this.#ports.search.remove(request);
  }

  #cancel(spare: Spare, why: string): void {
    if (spare.isSent) this.#ports.sender.cancel(spare.request, spare.lane, spare.attempt, why);
  }
}
