import type { CompleteRoute } from "../find/index.ts";
import { noMember } from "./declaration-errors.ts";
import type { Declaration } from "./declarations.ts";
import type { Lane } from "./lane.ts";
import type { Nearness } from "./nearness.ts";
import type { PendingRequest } from "./pending-table.ts";
import { type RoutePlan, nearMax, weightOf } from "./route-plan.ts";
import { formatSubset, isInSubset } from "./subset.ts";

export interface SubsetPlansPorts {
  readonly laneOf: (table: string, route: CompleteRoute) => Lane;
  /** The roll says something against it. */
  readonly isAccused: (lane: Lane) => boolean;
  readonly nearness: Nearness;
  /** As the lane's service has declared the type. */
  readonly declarationOf: (lane: Lane, type: string) => Declaration;
}

/** Plans of one answer of find for one type: the same servers, each of them first in one. */
interface Turns {
  readonly declaration: Declaration;
  /** Of what is near. */
  readonly generation: number;
  readonly plans: readonly RoutePlan[];
  next: number;
}

/** Of a subset of more servers each request looks at so many. */
const lanesMax = 64;

/** Which of the servers that find names answer a type. Worked out once for each answer of find and each declaration. */
export class SubsetPlans {
  readonly #ports: SubsetPlansPorts;
  readonly #known = new WeakMap<CompleteRoute, Map<string, Turns>>();

  constructor(ports: SubsetPlansPorts) {
    this.#ports = ports;
  }

  /** The plan without those that leave the type to others; undefined when nobody is left, which the request remembers. */
  restrict(plan: RoutePlan, route: CompleteRoute, request: PendingRequest): RoutePlan | undefined {
    const { key, type } = request;
    const declaration = this.#ports.declarationOf(plan.lane, type);
    if (declaration.subset === undefined) return plan;
    const turns = this.#turnsOf(plan, route, type, declaration);
    const { plans } = turns;
    if (plans.length === 0) request.failure = noMember(key, type, formatSubset(declaration.subset));
    // Find's own turn, as far as it goes; where it names another server, those that answer take turns.
    if (plans[0]?.lane === plan.lane || !plan.isOpen) return plans[0];
    turns.next = (turns.next + 1) % plans.length;
    return plans[turns.next];
  }

  /** Whether the server answers the type. */
  answers(lane: Lane, type: string): boolean {
    const { subset } = this.#ports.declarationOf(lane, type);
    return subset === undefined || isInSubset(subset, lane.route);
  }

  #turnsOf(plan: RoutePlan, route: CompleteRoute, type: string, declaration: Declaration): Turns {
    let byType = this.#known.get(route);
    if (byType === undefined) {
      byType = new Map();
      this.#known.set(route, byType);
    }
    const known = byType.get(type);
    const { generation } = this.#ports.nearness;
    if (known !== undefined && known.declaration === declaration && known.generation === generation) return known;
    const turns: Turns = { declaration, generation, plans: this.#plansOf(plan, route, type), next: 0 };
    byType.set(type, turns);
    return turns;
  }

  #plansOf(plan: RoutePlan, route: CompleteRoute, type: string): readonly RoutePlan[] {
    const { lane, isOpen } = plan;
    const lanes = new Map<string, Lane>();
    for (const each of [route, ...route.alternates]) {
      const other = this.#ports.laneOf(lane.table, each);
      if (lanes.size < lanesMax && !lanes.has(other.instance) && this.answers(other, type)) lanes.set(other.instance, other);
    }
    const all = [...lanes.values()];
    const welcome = all.filter((other) => !this.#ports.isAccused(other));
    const members = welcome.length === 0 ? all : welcome;
    for (const member of members) member.weight = weightOf(member);
    const byRoute = new Map(members.map((member) => [member.route, member]));
    const near = this.#ports.nearness.near(
      byRoute.keys(),
      (one) => byRoute.get(one) ?? lane,
      (one) => welcome.includes(one),
      nearMax,
    );
    return members.map((first) => ({ lane: first, lanes: [first, ...members.filter((other) => other !== first)], near, isOpen }));
  }
}
