import { isRecord } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import { type Replica, parseText, tableNumbers } from "../tables/index.ts";
import type { Lane } from "./lane.ts";

/** Where a server is: on this program's own host, in its zone, or elsewhere; elsewhere, too, if nobody knows. */
export const sameHost = 0;
export const sameZone = 1;
export const elsewhere = 2;

/** Lanes of the same host, and those of the same zone; of those elsewhere nothing is to be said. */
export type NearLanes = readonly [readonly Lane[], readonly Lane[]];

export const nobodyNear: NearLanes = Object.freeze([Object.freeze([]), Object.freeze([])]);

interface KnownZone {
  readonly text: string;
  readonly zone: string | undefined;
}

const zonesMax = 10_000;
const zoneCharactersMax = 256;

/**
 * How near a server is to this program, by what the roll says: the host that the program runs on, and the attribute `zone` of a server's
 * route, else of its host's row.
 */
export class Nearness {
  /** Grows when what was said before may be wrong: the program's own host is another one, or says something else of itself. */
  generation = 0;
  readonly #replica: Replica;
  readonly #ownHost: () => string | undefined;
  readonly #zones = new Map<string, KnownZone>();
  #host: string | undefined;

  /** `ownHost`: undefined while it is not known. */
  constructor(replica: Replica, ownHost: () => string | undefined) {
    this.#replica = replica;
    this.#ownHost = ownHost;
  }

  /** The row of a host has changed; "" for all. */
  hostChanged(name: string): void {
    if (name === "" || this.#host === undefined || name === this.#host) this.generation++;
  }

  /** Servers that could be asked, by how near they are; nobody where all are equally near. */
  near(
    routes: Iterable<CompleteRoute>,
    laneOf: (route: CompleteRoute) => Lane,
    isWelcome: (lane: Lane) => boolean,
    max: number,
  ): NearLanes {
    const host = this.#ownHostNow();
    if (host === undefined) return nobodyNear;
    const zone = this.#zoneOfHost(host);
    const near: [Set<Lane>, Set<Lane>] = [new Set(), new Set()];
    const counts: [number, number, number] = [0, 0, 0];
    for (const route of routes) {
      const where = this.#of(route, host, zone);
      counts[where]++;
      if (where === elsewhere || near[where].size >= max) continue;
      const lane = laneOf(route);
      if (isWelcome(lane)) near[where].add(lane);
    }
    if (counts.filter((count) => count > 0).length < 2) return nobodyNear;
    return [[...near[sameHost]], [...near[sameZone]]];
  }

  #of({ host, data }: CompleteRoute, ownHost: string, ownZone: string | undefined): 0 | 1 | 2 {
    if (host === ownHost) return sameHost;
    if (ownZone === undefined) return elsewhere;
    return (zoneIn(data) ?? this.#zoneOfHost(host)) === ownZone ? sameZone : elsewhere;
  }

  /** A program that is detached for a moment is where it was. */
  #ownHostNow(): string | undefined {
    this.#host = this.#ownHost() ?? this.#host;
    return this.#host;
  }

  #zoneOfHost(host: string): string | undefined {
    const text = this.#replica.row(tableNumbers.hosts, host)?.text;
    if (text === undefined) return undefined;
    const known = this.#zones.get(host);
    if (known !== undefined && known.text === text) return known.zone;
    if (this.#zones.size >= zonesMax) this.#zones.clear();
    const zone = zoneIn(parseText(text));
    this.#zones.set(host, { text, zone });
    return zone;
  }
}

function zoneIn(attributes: unknown): string | undefined {
  const zone = isRecord(attributes) ? attributes["zone"] : undefined;
  return typeof zone === "string" && zone !== "" && zone.length <= zoneCharactersMax ? zone : undefined;
}
