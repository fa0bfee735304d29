import { isRecord } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Lane } from "./lane.ts";
import { accusationOf, isPassedOver } from "./lane-index.ts";
import { type NearLanes, type Nearness, nobodyNear } from "./nearness.ts";

/** Where one answer of find leads. Find makes a new answer whenever something changes that it came from, so a plan never grows old. */
export interface RoutePlan {
  readonly lane: Lane;
  /** `lane` and others that could be asked instead, without those that the roll says to avoid. Worked out when somebody looks. */
  readonly lanes: readonly Lane[];
  /** Those of `lanes` that are nearer than others. */
  readonly near: NearLanes;
  /** Whether any of `lanes` may be asked first: not where one server holds the state. */
  readonly isOpen: boolean;
}

/** Of a service with more servers each request looks at these, which are others for each. */
const lanesMax = 16;
/** On its own host, and in its zone, each. */
export const nearMax = 16;

export class LazyRoutePlan implements RoutePlan {
  readonly lane: Lane;
  readonly isOpen: boolean;
  readonly #route: CompleteRoute;
  readonly #replica: Replica;
  readonly #nearness: Nearness;
  readonly #laneOf: (route: CompleteRoute) => Lane;
  #lanes: readonly Lane[] | undefined;
  #near: NearLanes = nobodyNear;
  #nearGeneration = 0;

  constructor(lane: Lane, route: CompleteRoute, replica: Replica, nearness: Nearness, laneOf: (route: CompleteRoute) => Lane) {
    this.lane = lane;
    this.#route = route;
    this.#replica = replica;
    this.#nearness = nearness;
    this.#laneOf = laneOf;
    // A row of its own names one server, or the servers of one instance, of which the first is the primary.
    this.isOpen = route.group !== undefined || replica.row(lane.tableNumber, route.key) === undefined;
  }

  get lanes(): readonly Lane[] {
    if (this.#lanes === undefined || this.#nearGeneration !== this.#nearness.generation) this.#lanes = this.#resolve();
    return this.#lanes;
  }

  get near(): NearLanes {
    return this.lanes.length < 2 ? nobodyNear : this.#near;
  }

  #resolve(): readonly Lane[] {
    const { lane } = this;
    const { alternates } = this.#route;
    // Find names one that it would pass over only where all are such.
    const areAllPassedOver = isPassedOver(this.#replica, lane);
    const isWelcome = (other: Lane) =>
      other === lane || (this.#isOther(other) && (areAllPassedOver || !isPassedOver(this.#replica, other)));
    this.#nearGeneration = this.#nearness.generation;
    this.#near = this.isOpen
      ? this.#nearness.near([this.#route, ...alternates], (route) => this.#laneOf(route), isWelcome, nearMax)
      : nobodyNear;
    const others = alternates.slice(0, lanesMax - 1).map((route) => this.#laneOf(route));
    const [host, zone] = this.#near;
    const lanes = [...new Set([lane, ...host, ...zone, ...others.filter(isWelcome)])];
    for (const each of lanes) each.weight = weightOf(each);
    return lanes;
  }

  #isOther(other: Lane): boolean {
    return other.instance !== this.lane.instance && accusationOf(this.#replica, other) === undefined;
  }
}

/** The attribute `weight` of the server, as find reads it: anything but a number ≥ 0 counts as 1. */
export function weightOf({ route: { data } }: Lane): number {
  const weight = data !== undefined && isRecord(data) ? data["weight"] : undefined;
  return typeof weight === "number" && weight >= 0 && weight < 1e9 ? weight : 1;
}
