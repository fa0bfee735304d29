import type { GroupLimits } from "../../../src/groups/index.ts";
import { type Random, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import { slotOf, spreadOver, withMoves } from "../../../src/tables/index.ts";
import { SimNode, SimWorld } from "../../../src/testing/index.ts";
import type { Operation } from "../writes/history.ts";
import { type PathOptions, Paths } from "../writes/paths.ts";
import type { RollDelays } from "../writes/roll-model.ts";
import { textOf } from "../writes/work.ts";
import { violation } from "../roll/violation.ts";
import { MovesCaller, type MovesCallerOptions, type MovesServers, type MovesSums, type SessionRead } from "./caller.ts";
import { MovesHost } from "./host.ts";
import { MovesLedger } from "./ledger.ts";
import { MovesRoll } from "./roll-model.ts";

export interface MovesStageOptions {
  /** Servers of each group. */
  readonly groups: readonly number[];
  readonly paths: PathOptions;
  readonly roll: RollDelays;
  readonly commitMs: number;
  readonly tickMs: number;
  readonly limits?: Partial<GroupLimits>;
  /** A program is gone at a step of its work: so often. */
  readonly crashShare: number;
  readonly timerLatenessMs: number;
}

/** Where in its work a program may be gone. */
export type MovesStep =
  | "commit-begins"
  | "commit-ended"
  | "sent"
  | "receives"
  | "asks-the-roll"
  | "answers"
  | "answered"
  | "gives"
  | "fetched";

/** The next time that the synchronising server of this group comes to this step, it is gone. */
export interface MovesKill {
  readonly group: string;
  readonly step: MovesStep;
  left: number;
}

/** Groups of one service, the map of their slots, the paths between all, callers, and what all of them did. */
export class MovesStage implements MovesServers {
  readonly world: SimWorld;
  readonly random: Random;
  readonly options: MovesStageOptions;
  readonly paths: Paths;
  readonly roll: MovesRoll;
  readonly ledger: MovesLedger;
  readonly hosts: MovesHost[] = [];
  readonly callers: MovesCaller[] = [];
  readonly history: Operation[] = [];
  readonly sessions: SessionRead[] = [];
  readonly sums: MovesSums = { acknowledged: 0, reads: 0, unknown: 0, abandoned: 0, refused: 0, moved: 0 };
  readonly trace: ((line: string) => void) | undefined;
  readonly #operator: SimNode;
  readonly #byName = new Map<string, MovesHost>();
  kill: MovesKill | undefined;
  crashes = 0;
  moves = 0;
  #stamps = 0;
  #calm = false;

  constructor(seed: number, options: MovesStageOptions, trace?: (line: string) => void) {
    this.world = new SimWorld({ seed, eventsMax: 3_000_000 });
    this.random = new SeededRandom(seed * 23 + 7);
    this.options = options;
    this.trace = trace === undefined ? undefined : (line) => trace(`${this.world.nowMs.toFixed(2)} ${line}`);
    this.paths = new Paths(this.world, new SeededRandom(seed * 29 + 1), options.paths);
    this.roll = new MovesRoll(this.world, new SeededRandom(seed * 31 + 5), options.roll, (what) => this.trace?.(what));
    this.ledger = new MovesLedger((outcome) => this.#readAnswer(outcome)?.stamp);
    this.#operator = new SimNode(this.world, { name: "operator" });
    for (const [at, servers] of options.groups.entries())
      for (let number = 1; number <= servers; number++) {
        const host = new MovesHost(this, `MDS.${at + 1}`, `MDS.${at + 1}.${number}`);
        this.hosts.push(host);
        this.#byName.set(host.server, host);
      }
    const error = this.roll.setMap(undefined, spreadOver(this.groups));
    if (error !== undefined) throw error;
  }

  get groups(): readonly string[] {
    return this.options.groups.map((_, at) => `MDS.${at + 1}`);
  }

  get names(): readonly string[] {
    return this.hosts.map(({ server }) => server);
  }

  host(server: string): MovesHost {
    const host = this.#byName.get(server);
    if (host === undefined) throw new Error(`there is no server ${server}`);
    return host;
  }

  hostsOf(group: string): readonly MovesHost[] {
    return this.hosts.filter((host) => host.group === group);
  }

  pick<T>(list: readonly T[]): T {
    const one = list[randomBelow(this.random, list.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  }

  between(from: number, to: number): number {
    return from + (to - from) * this.random.fraction();
  }

  stamp(id: string): string {
    this.#stamps++;
    return `${id} ${this.#stamps}`;
  }

  guard<T>(act: () => T): T {
    try {
      return act();
    } catch (thrown) {
      this.world.fail(thrown);
      throw thrown;
    }
  }

  addCaller(options: MovesCallerOptions): MovesCaller {
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
      if (this.#calm || (map !== undefined && next === undefined)) return;
      const again = (): void => void this.world.after(30, () => (left > 0 ? attempt(left - 1) : undefined));
      if (map === undefined || next === undefined) again();
      else
        view.changeMap(map, next).then(() => {
          this.moves++;
        }, again);
    };
    attempt(6);
  }

  /** A program comes to a step of its work. Returns whether it is gone now. */
  step(host: MovesHost, step: MovesStep): boolean {
    if (!host.node.alive) return true;
    if (this.#calm) return false;
    const { kill } = this;
    const isMeant = kill?.step === step && kill.group === host.group && this.roll.row(host.group)?.synchronising === host.server;
    if (isMeant && kill.left-- <= 0) {
      this.kill = undefined;
      this.trace?.(`KILL ${host.server}: ${step}`);
      this.crash(host);
      return true;
    }
    if (this.options.crashShare > 0 && this.random.fraction() < this.options.crashShare) {
      this.trace?.(`CRASH ${host.server}: ${step}`);
      this.crash(host);
      return true;
    }
    return false;
  }

  crash(host: MovesHost, downMs = this.between(2, 300)): void {
    if (!host.node.alive) return;
    this.crashes++;
    host.crash();
    const life = host.node.lives;
    if (this.random.fraction() < 0.85)
      this.world.after(this.between(0.5, 100), () => {
        if (host.node.lives === life && !host.node.alive) this.roll.invalidate(host.server);
      });
    this.world.after(downMs, () => {
      if (!host.node.alive) host.restart();
    });
  }

  pause(host: MovesHost, forMs: number): void {
    const { life } = host.node;
    this.trace?.(`PAUSE ${host.server} for ${forMs.toFixed(0)}`);
    life.pause();
    if (this.random.fraction() < 0.5) this.suspect(host, this.between(1, 100), forMs + 50);
    this.world.after(forMs, () => life.resume());
  }

  suspect(host: MovesHost, afterMs: number, forMs: number): void {
    this.world.after(afterMs, () => this.roll.invalidate(host.server));
    this.world.after(afterMs + forMs, () => {
      if (host.node.alive) this.roll.validate(host.server);
    });
  }

  calm(): void {
    this.#calm = true;
    this.kill = undefined;
  }

  submit(...[caller, server, submission, replied]: Parameters<MovesServers["submit"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.submit(submission, (settled) => this.paths.send(host.node, caller.node, () => replied(settled))),
    );
  }

  ask(...[caller, server, question, replied]: Parameters<MovesServers["ask"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.ask(question, (settled) => this.paths.send(host.node, caller.node, () => replied(settled))),
    );
  }

  read(...[caller, server, key, claim, from, replied]: Parameters<MovesServers["read"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.read(key, claim, from, (reply) => this.paths.send(host.node, caller.node, () => replied(reply))),
    );
  }

  resultOf(outcome: Uint8Array): string | null | undefined {
    return this.#readAnswer(outcome)?.result;
  }

  #readAnswer(outcome: Uint8Array): { readonly result: string | null; readonly stamp: string } | undefined {
    const read: unknown = JSON.parse(textOf(outcome));
    if (typeof read !== "object" || read === null || !("result" in read) || !("stamp" in read)) return undefined;
    const { result, stamp } = read;
    if (typeof stamp !== "string" || (typeof result !== "string" && result !== null))
      return violation("I16", `an answer was changed: ${textOf(outcome)}`);
    return { result, stamp };
  }
}
