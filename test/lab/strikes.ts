import {
  type Action,
  type Aim,
  type FleetPlan,
  type Strike,
  cut,
  kill,
  membersOf,
  membersProcess,
  mend,
  resume,
  start,
  stop,
} from "./scenario.ts";

/** What a strike has hit. */
export interface Struck {
  readonly host: string;
  /** Service instances of which a server was there; and of these the ones that it synchronised. */
  readonly groups: readonly string[];
  readonly leads: readonly string[];
}

export interface Blow {
  readonly struck: Struck;
  readonly first: Action;
  /** Later, to end it. */
  readonly last: Action;
}

/** What the roll says of an ordering group. */
export interface KnownGroup {
  readonly synchronising: string;
  readonly members: readonly string[];
}

export interface StrikePorts {
  /** The group of a service instance now. */
  group(instance: string): KnownGroup | undefined;
  /** Whether this process runs and is ready. */
  isUp(process: string): boolean;
}

/** Finds out at the moment of a strike what it hits; both runners ask this one. */
export class Strikes {
  readonly #fleet: FleetPlan;
  readonly #ports: StrikePorts;
  readonly #struck = new Set<string>();

  constructor(fleet: FleetPlan, ports: StrikePorts) {
    this.#fleet = fleet;
    this.#ports = ports;
  }

  /** Whether every group has as many members as the strike wants. Who is named and not there does not count: the roll may be about to learn it. */
  isTime({ membersMin }: Strike): boolean {
    const members = membersOf(this.#fleet);
    const there = members.filter(({ host }) => !this.#struck.has(host) && this.#ports.isUp(membersProcess(host)));
    return members.every(({ group }) => {
      const named = this.#ports.group(group)?.members ?? [];
      return there.filter(({ server }) => named.includes(server)).length >= membersMin;
    });
  }

  /** Undefined when all that it could hit is struck already. */
  begin({ aim, how }: Strike): Blow | undefined {
    const host = this.#candidates(aim).find((one) => !this.#struck.has(one));
    if (host === undefined) return undefined;
    this.#struck.add(host);
    const here = membersOf(this.#fleet).filter((member) => member.host === host);
    const leads = here.filter(({ group, server }) => this.#leaderOf(group) === server).map(({ group }) => group);
    const struck = { host, groups: here.map(({ group }) => group), leads };
    switch (how) {
      case "kill":
        return { struck, first: kill(membersProcess(host)), last: start(membersProcess(host)) };
      case "stop":
        return { struck, first: stop(membersProcess(host)), last: resume(membersProcess(host)) };
      case "cut":
        return { struck, first: cut(host), last: mend(host) };
    }
  }

  #leaderOf(group: string): string | undefined {
    return this.#ports.group(group)?.synchronising;
  }

  end({ struck }: Blow): void {
    this.#struck.delete(struck.host);
  }

  /** Hosts, the one that is meant first. */
  #candidates(aim: Aim): readonly string[] {
    const members = membersOf(this.#fleet);
    if ("membersOn" in aim) return [aim.membersOn, ...members.map(({ host }) => host)];
    const ofGroup = members.filter(({ group }) => group === aim.leaderOf);
    const leader = this.#leaderOf(aim.leaderOf);
    return [...ofGroup.filter(({ server }) => server === leader), ...ofGroup].map(({ host }) => host);
  }
}

/** A strike that has waited so long is left out. */
export const strikeWaitMsMax = 30_000;

/** How it reads in a timeline. */
export function describeStruck({ leads }: Struck): string {
  return leads.length === 0 ? "synchronises nothing" : `synchronises ${leads.join(", ")}`;
}
