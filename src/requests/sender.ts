import type { Clock, MusterError } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Channel } from "./channel.ts";
import { stricter } from "./decide.ts";
import { declarationKey, declarationOf, serviceOf } from "./declarations.ts";
import { attemptsSpent, overloaded } from "./errors.ts";
import type { Lane, LaneType } from "./lane.ts";
import type { LaneBook } from "./lane-book.ts";
import { MessageWriter, encodeTarget, message } from "./messages.ts";
import type { RequestLimits } from "./options.ts";
import type { PendingRequest } from "./pending-table.ts";
import { RetryBudget } from "./retry-budget.ts";

export interface SenderPorts {
  readonly clock: Clock;
  readonly replica: Replica;
  readonly book: LaneBook;
  readonly limits: RequestLimits;
  /** Too much is on its way to that server: the request was not sent. */
  readonly overloaded: (request: PendingRequest, error: MusterError) => void;
  readonly fail: (request: PendingRequest, error: MusterError) => void;
}

const budgetsMax = 10_000;
const laneTypesMax = 1000;

/** Puts requests into lanes and onto links, and takes them back. */
export class Sender {
  readonly #ports: SenderPorts;
  readonly #writer = new MessageWriter();
  readonly #budgets = new Map<string, RetryBudget>();
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

  /** Declarations have changed. */
  renew(): void {
    this.#generation++;
  }

  /** The request is in this lane from now on; it is sent as soon as there is a connection. */
  enter(request: PendingRequest, lane: Lane, nowMonoMs: number): void {
    request.mayHaveRun ||= request.sent;
    request.sent = false;
    request.givenUp = false;
    lane.add(request);
    const channel = this.#ports.book.channel(lane);
    channel.usedMonoMs = nowMonoMs;
    if (channel.link !== undefined) this.send(request, lane, channel, channel.link, nowMonoMs);
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
    const { key, type: name, attempt, failure } = request;
    if (attempt >= limits.attemptsMax) {
      fail(request, attemptsSpent(key, name, attempt, failure));
      return;
    }
    if (link.bufferedBytes > limits.bufferedBytesMax) {
      tooMuch(request, overloaded(`more than ${limits.bufferedBytesMax} bytes are on their way to ${lane.instance}`));
      return;
    }
    const type = this.#typeOf(lane, name);
    const { effect, sequence } = type.declaration;
    const said = sequence === 0 ? (request.askedEffect ?? "write") : stricter(effect, request.askedEffect ?? "read");
    // Once a server has called it a write it stays one.
    request.effect = attempt === 0 ? said : stricter(request.effect, said);
    const target = type.target ?? nameTarget(lane, channel, link, name, type);
    const leftMs = leftOf(request, nowMonoMs);
    if (request.dropAttempt > 0) {
      link.send(message.cancel, this.#writer.cancel(request.id, request.dropAttempt, true, leftMs, "it was sent again over another route"));
      request.dropAttempt = 0;
    }
    if (attempt === 0) type.budget.earn();
    request.attempt = attempt + 1;
    request.sent = true;
    this.#sent++;
    link.send(message.request, this.#writer.request(request.id, request.attempt, request.effect, target, leftMs, request.body));
  }

  /** Tells the server of the present attempt that nobody waits for it. */
  drop(request: PendingRequest, why: string): void {
    const link = request.lane?.channel?.link;
    if (!request.sent || link === undefined) return;
    const leftMs = leftOf(request, this.#ports.clock.monoMs());
    link.send(message.cancel, this.#writer.cancel(request.id, request.attempt, false, leftMs, why));
  }

  /** Whether it may be sent once more. */
  mayTryAgain({ attempt }: PendingRequest): boolean {
    return attempt < this.#ports.limits.attemptsMax;
  }

  /** Takes one re-send from the budget of its type; false when that is spent. */
  pay(request: PendingRequest): boolean {
    const { lane, type } = request;
    return lane === undefined || this.#typeOf(lane, type).budget.take();
  }

  #typeOf(lane: Lane, name: string): LaneType {
    const known = lane.types.get(name);
    if (known !== undefined && known.generation === this.#generation) return known;
    const service = serviceOf(lane.instance);
    const declaration = declarationOf(this.#ports.replica, service, name);
    const target = known?.declaration.sequence === declaration.sequence ? known.target : undefined;
    const type: LaneType = { declaration, generation: this.#generation, budget: this.#budgetOf(declarationKey(service, name)), target };
    if (lane.types.size >= laneTypesMax) lane.types.clear();
    lane.types.set(name, type);
    return type;
  }

  #budgetOf(name: string): RetryBudget {
    let budget = this.#budgets.get(name);
    if (budget === undefined) {
      const { retryShare, retryBurst } = this.#ports.limits;
      if (this.#budgets.size >= budgetsMax) this.#budgets.clear();
      budget = new RetryBudget(retryShare, retryBurst);
      this.#budgets.set(name, budget);
    }
    return budget;
  }
}

/** Tells the server what a number means from now on. */
function nameTarget(lane: Lane, channel: Channel, link: Link, name: string, type: LaneType): number {
  const number = channel.nextTarget();
  if (number === undefined) throw overloaded(`too many types have been asked for on one connection with ${lane.instance}`);
  type.target = number;
  const { sequence } = type.declaration;
  link.send(message.target, encodeTarget({ number, table: lane.table, instance: lane.instance, type: name, sequence }));
  return number;
}

function leftOf({ dueMonoMs }: PendingRequest, nowMonoMs: number): number {
  return Math.max(1, Math.ceil(dueMonoMs - nowMonoMs));
}
