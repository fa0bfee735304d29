import { type Clock, type Random, randomBelow } from "../kernel/index.ts";
import type { CompleteRoute, Finder } from "../find/index.ts";
import { AvoidedAddresses } from "./avoided.ts";
import type { Lane } from "./lane.ts";
import type { LaneBook } from "./lane-book.ts";
import type { UsualTimes } from "./lane-load.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { RoutePlan } from "./route-plan.ts";
import type { SubsetPlans } from "./subset-plans.ts";
import type { TableOfKey } from "./table-of-key.ts";

/** A server that said no by itself is there: it is asked again sooner than an address that does not answer. */
const serverShare = 0.2;
/** A near server is asked as long as it takes at most so many times as long as one further away … */
const farFactor = 2;
/** … or less than this: then there is nothing to win. */
const quickMs = 2;
/** Of whom nothing is known is asked, if there is something to win, once the choice has fallen so many times on others. */
const unknownTurns = 8;
/** So many others are asked what is usual. */
const othersMax = 16;
/** What is known of a server fades by half while the choice falls so many times, for each of the servers, on others. */
const staleTurns = 256;

export interface ChooserPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly finder: Finder;
  readonly tables: TableOfKey;
  readonly book: LaneBook;
  readonly avoidMs: number;
  readonly subsets: SubsetPlans;
  /** Whether the request only reads, as far as anybody knows who would send it there. */
  readonly isRead: (request: PendingRequest, lane: Lane) => boolean;
  readonly ejected: (lane: Lane) => void;
}

/** Where a request goes: what find says, less what this program itself has seen fail. */
export class Chooser {
  readonly #ports: ChooserPorts;
  readonly #avoided = new AvoidedAddresses();
  /** Choices between near and far. */
  #turn = 0;

  constructor(ports: ChooserPorts) {
    this.#ports = ports;
  }

  /**
   * The server that find names in turn, or for a read of a service the less busy one of that and another; else the others in order; else another route of one of them, because what this program cannot
   * reach over one network may answer on the next; else one that is avoided only because it fell silent a moment ago and is heard again.
   * Undefined when none can be used at present. Throws what find throws, and `requests/ambiguous-key`.
   */
  choose(request: PendingRequest, except: Lane | undefined, nowMonoMs: number): Lane | undefined {
    const { finder, tables, book, subsets } = this.#ports;
    const table = request.table ?? tables.of(request.key);
    if (table === undefined) return undefined;
    const first = finder.find(table, request.key, request.find);
    if (first === undefined) {
      if (request.table === undefined) tables.reconsider(request.key);
      return undefined;
    }
    const named = book.plan(table, first);
    const plan = subsets.restrict(named, first, request);
    if (plan === undefined) return undefined;
    request.plan = plan;
    const lane = this.#lessBusy(plan, request, except, nowMonoMs);
    if (lane !== undefined) return lane;
    const others = [first, ...first.alternates].filter((route) => plan === named || subsets.answers(book.lane(table, route), request.type));
    const isUsable = (other: Lane) => other !== except && this.isUsable(other, nowMonoMs);
    const known = this.#firstOf(table, others, isUsable);
    if (known !== undefined) return known;
    const all = others.flatMap(({ instance }) => finder.findAll(table, instance));
    return this.#firstOf(table, all, isUsable) ?? this.#firstOf(table, all, (other) => other !== except && this.#isHeard(other, nowMonoMs));
  }

  /**
   * Power of two choices: of two the one where less is to be waited for, because whoever always takes the best of all is one of many that
   * do so at once. Undefined when neither can be used.
   */
  #lessBusy(plan: RoutePlan, request: PendingRequest, except: Lane | undefined, nowMonoMs: number): Lane | undefined {
    const { lane } = plan;
    const first = lane !== except && this.isUsable(lane, nowMonoMs) ? lane : undefined;
    if (!plan.isOpen || request.find?.policy !== undefined || plan.lanes.length < 2 || !this.#ports.isRead(request, lane)) return first;
    const other = plan.lanes[1 + randomBelow(this.#ports.random, plan.lanes.length - 1)];
    const second = other !== undefined && other !== except && this.isUsable(other, nowMonoMs) ? other : undefined;
    const [host, zone] = plan.near;
    const any = lessBusyOf(first, second, nowMonoMs);
    if (host.length === 0 && zone.length === 0) return any;
    this.#turn++;
    const fade = staleTurns * plan.lanes.length;
    const expected = (lane: Lane) => {
      const ms = lane.expectedMs(nowMonoMs);
      const turns = this.#turn - lane.chosen;
      return ms > 0 ? ms / (1 + turns / fade) : this.usualOfOthers(plan, lane, nowMonoMs).answersMs / (1 + turns / unknownTurns);
    };
    const anyMs = any === undefined ? Number.POSITIVE_INFINITY : expected(any);
    const inZone = this.#nearer(zone, any, anyMs, except, expected, nowMonoMs);
    const inZoneMs = inZone === undefined ? Number.POSITIVE_INFINITY : expected(inZone);
    const chosen = this.#nearer(host, inZone, Math.min(anyMs, inZoneMs), except, expected, nowMonoMs);
    if (chosen !== undefined) chosen.chosen = this.#turn;
    return chosen;
  }

  /**
   * The less busy of two of the near ones, unless some that is further away (`far`) would take much less time (`farMs`): so most stays near, and
   * the load that is too much for those there goes further. What is asked too seldom to know it is asked now and then.
   */
  #nearer(
    near: readonly Lane[],
    far: Lane | undefined,
    farMs: number,
    except: Lane | undefined,
    expected: (lane: Lane) => number,
    nowMonoMs: number,
  ): Lane | undefined {
    const usable = near.filter((lane) => lane !== except && lane.weight > 0 && this.isUsable(lane, nowMonoMs));
    if (usable.length === 0) return far;
    const { random } = this.#ports;
    const of = () => (usable.length === 1 ? usable[0] : usable[randomBelow(random, usable.length)]);
    const lane = lessBusyOf(of(), usable.length > 1 ? of() : undefined, nowMonoMs);
    if (lane === undefined || far === undefined) return lane ?? far;
    if (usable.includes(far)) return lessBusyOf(lane, far, nowMonoMs);
    const nearMs = expected(lane);
    return nearMs <= quickMs || nearMs <= farFactor * farMs ? lane : far;
  }

  /** A server for one more copy, where none is (if all have one and it `mayRepeat`: one of them) and none was, with a connection, as far as there are such. Again the less busy one of two. */
  chooseOther(request: PendingRequest, mayRepeat: boolean, nowMonoMs: number): Lane | undefined {
    const usable = this.others(request, nowMonoMs);
    // One that was put aside for a moment is better than nobody.
    const all = usable.length > 0 ? usable : this.#othersOf(request, (lane) => this.#isOpen(lane));
    if (all.length === 0 && mayRepeat) return this.#anyAgain(request, nowMonoMs);
    // Two servers of one program have one queue and one fate.
    // Whoever fails what it begins would end what still waits at another server.
    const elsewhere = all.filter(({ place, load }) => place !== request.lane?.place && !load.isFailing);
    const fresh = elsewhere.filter((lane) => request.copies?.left.includes(lane) !== true);
    const others = fresh.length > 0 ? fresh : elsewhere;
    const near = others.filter((lane) => this.#ports.book.channelAt(lane.place)?.link !== undefined);
    const choice = near.length > 0 ? near : others;
    const first = choice[randomBelow(this.#ports.random, choice.length)];
    const second = choice[randomBelow(this.#ports.random, choice.length)];
    if (first === undefined || second === undefined) return undefined;
    return second.cost(nowMonoMs) < first.cost(nowMonoMs) ? second : first;
  }

  /** All have a copy, and all are slow: what is slow may be this copy and not the server. The one where less is to be waited for. */
  #anyAgain({ plan }: PendingRequest, nowMonoMs: number): Lane | undefined {
    const [first, second] = plan?.lanes.filter((lane) => this.isUsable(lane, nowMonoMs) && this.#isOpen(lane)) ?? [];
    return first !== undefined && second !== undefined && second.cost(nowMonoMs) < first.cost(nowMonoMs) ? second : first;
  }

  /** Servers that can be asked and have no copy of the request. */
  others(request: PendingRequest, nowMonoMs: number): readonly Lane[] {
    return this.#othersOf(request, (lane) => this.isUsable(lane, nowMonoMs));
  }

  #othersOf({ plan, lane, copies }: PendingRequest, accept: (lane: Lane) => boolean): readonly Lane[] {
    if (plan === undefined) return [];
    const taken = [...(lane === undefined ? [] : [lane]), ...(copies?.spares.map((spare) => spare.lane) ?? [])];
    return plan.lanes.filter(
      (other) => !taken.some(({ instance, table }) => instance === other.instance && table === other.table) && accept(other),
    );
  }

  /**
   * The server fails, or is too slow, time after time: it is not asked for a moment. Never more than half of those that could be asked, because
   * where most are slow, slow is how things are; so of two the other one stays.
   */
  eject({ plan }: PendingRequest, lane: Lane, nowMonoMs: number): void {
    if (plan === undefined) return;
    const away = plan.lanes.filter((other) => other === lane || !this.isUsable(other, nowMonoMs)).length;
    if (away * 2 > plan.lanes.length) return;
    this.avoidServer(lane);
    this.#ports.ejected(lane);
  }

  /** What answers of the other servers take, on the average of some of them. */
  usualOfOthers(plan: RoutePlan | undefined, lane: Lane, nowMonoMs: number): UsualTimes {
    let [answersMs, peakMs, count] = [0, 0, 0];
    for (const other of plan?.lanes ?? []) {
      const ms = other === lane ? 0 : other.load.answersMs;
      if (ms === 0) continue;
      answersMs += ms;
      peakMs += other.load.peakMs(nowMonoMs);
      if (++count === othersMax) break;
    }
    return count === 0 ? { answersMs, peakMs } : { answersMs: answersMs / count, peakMs: peakMs / count };
  }

  #firstOf(table: string, routes: readonly CompleteRoute[], accept: (lane: Lane) => boolean): Lane | undefined {
    for (const route of routes) {
      const lane = this.#ports.book.lane(table, route);
      if (accept(lane)) return lane;
    }
    return undefined;
  }

  isUsable(lane: Lane, nowMonoMs: number): boolean {
    if (this.#avoided.size > 0) {
      const { revision } = lane.route;
      if (this.#avoided.isAvoided(lane.place, revision, nowMonoMs) || this.#avoided.isAvoided(lane.name, revision, nowMonoMs)) return false;
    }
    const channel = lane.channel ?? this.#ports.book.channelAt(lane.place);
    return channel === undefined || !(channel.isSilent || channel.isClosing);
  }

  /** Avoided or not, there is a connection that somebody speaks on. */
  #isHeard(lane: Lane, nowMonoMs: number): boolean {
    return this.#isOpen(lane) && !this.#avoided.isAvoided(lane.name, lane.route.revision, nowMonoMs);
  }

  #isOpen(lane: Lane): boolean {
    const channel = this.#ports.book.channelAt(lane.place);
    return channel?.link !== undefined && !channel.isSilent && !channel.isClosing;
  }

  /** The last that was heard of its address and port was a failure: requests do not wait for that place while there are others. */
  failedLast(lane: Lane): boolean {
    return this.#avoided.isKnown(lane.place, lane.route.revision);
  }

  /** The address and port, with all servers there. */
  avoidPlace(lane: Lane): void {
    this.#avoided.avoid(lane.place, lane.route.revision, this.#ports.clock.monoMs(), this.#ports.avoidMs);
  }

  /** This server only, others at its address may answer. */
  avoidServer(lane: Lane): void {
    this.#avoided.avoid(lane.name, lane.route.revision, this.#ports.clock.monoMs(), this.#ports.avoidMs * serverShare);
  }

  /** Somebody answers there. */
  forget(place: string): void {
    this.#avoided.forget(place, this.#ports.clock.monoMs());
  }

  /** When something is avoided no longer; Infinity when nothing is. */
  nextMonoMs(nowMonoMs: number): number {
    return this.#avoided.nextMonoMs(nowMonoMs);
  }
}

function lessBusyOf(first: Lane | undefined, second: Lane | undefined, nowMonoMs: number): Lane | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return second.cost(nowMonoMs) < first.cost(nowMonoMs) ? second : first;
}
