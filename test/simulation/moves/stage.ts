import { SeededRandom } from "../../../src/kernel/index.ts";
import { slotOf, spreadOver, withMoves } from "../../../src/tables/index.ts";
import { SimNode } from "../../../src/testing/index.ts";
import type { CallerOptions } from "../ordering/caller.ts";
import { type CrashTimes, type Kill, OrderingStage, type StageOptions, type Trace } from "../ordering/stage.ts";
import { MovesCaller, type MovesServers, type MovesSums, type SessionRead } from "./caller.ts";
import { MovesHost } from "./host.ts";
import { MovesLedger } from "./ledger.ts";
import { MovesRoll } from "./roll-model.ts";

export interface MovesStageOptions extends StageOptions {
  /** Servers of each group. */
  readonly groups: readonly number[];
}

/** Where in its work a program may be gone. */
export const steps = [
  "receives",
  "commit-begins",
  "commit-ended",
  "sent",
  "answers",
  "answered",
  "asks-the-roll",
  "gives",
  "fetched",
] as const;
export type MovesStep = (typeof steps)[number];

/** Of the synchronising server of this group. */
export interface MovesKill extends Kill<MovesStep> {
  readonly group: string;
}

/** Groups of one service, the map of their slots, the paths between all, callers, and what all of them did. */
export class MovesStage extends OrderingStage<MovesHost, CallerOptions, MovesCaller, MovesStep> implements MovesServers {
  readonly options: MovesStageOptions;
  readonly roll: MovesRoll;
  protected readonly crashTimes: CrashTimes = { downMsMax: 300, unseenMsMax: 100 };
  readonly ledger: MovesLedger;
  readonly sessions: SessionRead[] = [];
  readonly sums: MovesSums = { acknowledged: 0, reads: 0, unknown: 0, abandoned: 0, refused: 0, moved: 0 };
  kill: MovesKill | undefined;
  moves = 0;
  readonly #operator: SimNode;

  constructor(seed: number, options: MovesStageOptions, trace?: Trace) {
    super({ world: seed, stage: seed * 23 + 7, paths: seed * 29 + 1 }, options.paths, 3_000_000, trace);
    this.options = options;
    this.roll = new MovesRoll(this.world, new SeededRandom(seed * 31 + 5), options.roll, (what) => this.trace?.(what));
    this.ledger = new MovesLedger((outcome) => this.stampOf(outcome));
    this.#operator = new SimNode(this.world, { name: "operator" });
    for (const [at, servers] of options.groups.entries())
      for (let number = 1; number <= servers; number++) this.addHost(new MovesHost(this, `MDS.${at + 1}`, `MDS.${at + 1}.${number}`));
    const error = this.roll.setMap(undefined, spreadOver(this.groups));
    if (error !== undefined) throw error;
  }

  get groups(): readonly string[] {
    return this.options.groups.map((_, at) => `MDS.${at + 1}`);
  }

  hostsOf(group: string): readonly MovesHost[] {
    return this.hosts.filter((host) => host.group === group);
  }

  /** Of any group. */
  victim(): MovesHost {
    const group = this.pick(this.groups);
    const synchronising = this.roll.row(group)?.synchronising;
    if (synchronising !== undefined && this.random.fraction() < 0.6) return this.host(synchronising);
    return this.pick(this.hostsOf(group));
  }

  protected isMeant({ group, server }: MovesHost): boolean {
    return this.kill?.group === group && this.roll.row(group)?.synchronising === server;
  }

  addCaller(options: CallerOptions): MovesCaller {
    const { world, random, roll, history, sessions, sums } = this;
    const caller = new MovesCaller({ world, random, roll, servers: this }, options, { history, sessions, sums });
    this.callers.push(caller);
    return caller;
  }

  /** What `muster move` does; given again until the map has it. */
  move(keys: readonly string[], to: string): void {
    const slots = [...new Set(keys.map(slotOf))];
    const view = this.roll.open(this.#operator.life, 0, 0);
    const attempt = (left: number): void => {
      const map = view.map();
      const next = map === undefined ? undefined : withMoves(map, slots, to);
      if (this.isCalm || (map !== undefined && next === undefined)) return;
      const again = (): void => void this.world.after(30, () => (left > 0 ? attempt(left - 1) : undefined));
      if (map === undefined || next === undefined) again();
      else
        view.changeMap(map, next).then(() => {
          this.moves++;
        }, again);
    };
    attempt(6);
  }

  read(...[caller, server, key, claim, from, replied]: Parameters<MovesServers["read"]>): void {
    this.reach(caller, server, (host, reply) => host.read(key, claim, from, reply), replied);
  }
}
