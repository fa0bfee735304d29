import type { Clock } from "../kernel/index.ts";
import type { CompleteRoute, Finder } from "../find/index.ts";
import { AvoidedAddresses } from "./avoided.ts";
import type { Lane } from "./lane.ts";
import type { LaneBook } from "./lane-book.ts";
import type { PendingRequest } from "./pending-table.ts";
import type { TableOfKey } from "./table-of-key.ts";

/** A server that said no by itself is there: it is asked again sooner than an address that does not answer. */
const serverShare = 0.2;

export interface ChooserPorts {
  readonly clock: Clock;
  readonly finder: Finder;
  readonly tables: TableOfKey;
  readonly book: LaneBook;
  readonly avoidMs: number;
}

/** Where a request goes: what find says, less what this program itself has seen fail. */
export class Chooser {
  readonly #ports: ChooserPorts;
  readonly #avoided = new AvoidedAddresses();

  constructor(ports: ChooserPorts) {
    this.#ports = ports;
  }

  /**
   * The server that find names in turn; else the others in order; else another route of one of them, because what this program cannot
   * reach over one network may answer on the next; else one that is avoided only because it fell silent a moment ago and is heard again.
   * Undefined when none can be used at present. Throws what find throws, and `requests/ambiguous-key`.
   */
  choose(request: PendingRequest, except: Lane | undefined, nowMonoMs: number): Lane | undefined {
    const { finder, tables, book } = this.#ports;
    const table = request.table ?? tables.of(request.key);
    if (table === undefined) return undefined;
    const first = finder.find(table, request.key, request.find);
    if (first === undefined) {
      if (request.table === undefined) tables.reconsider(request.key);
      return undefined;
    }
    const lane = book.lane(table, first);
    if (lane !== except && this.isUsable(lane, nowMonoMs)) return lane;
    const others = [first, ...first.alternates];
    const isUsable = (other: Lane) => other !== except && this.isUsable(other, nowMonoMs);
    const known = this.#firstOf(table, others, isUsable);
    if (known !== undefined) return known;
    const all = others.flatMap(({ instance }) => finder.findAll(table, instance));
    return this.#firstOf(table, all, isUsable) ?? this.#firstOf(table, all, (other) => other !== except && this.#isHeard(other, nowMonoMs));
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
    const channel = this.#ports.book.channelAt(lane.place);
    if (channel?.link === undefined || channel.isSilent || channel.isClosing) return false;
    return !this.#avoided.isAvoided(lane.name, lane.route.revision, nowMonoMs);
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
