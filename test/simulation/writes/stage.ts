import type { GroupLimits, Outcome, Position } from "../../../src/groups/index.ts";
import { type Random, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import type { GroupRow } from "../../../src/tables/index.ts";
import { SimWorld } from "../../../src/testing/index.ts";
import { Violation, violation } from "../roll/violation.ts";
import { Caller, type CallerOptions, type CallerSums, type Servers } from "./caller.ts";
import type { Operation } from "./history.ts";
import { Host } from "./host.ts";
import { Ledger } from "./ledger.ts";
import { type PathOptions, Paths } from "./paths.ts";
import { type RollDelays, RollModel } from "./roll-model.ts";
import { textOf } from "./work.ts";

export interface StageOptions {
  readonly servers: number;
  readonly copiesMin: number;
  readonly paths: PathOptions;
  readonly roll: RollDelays;
  readonly commitMs: number;
  readonly tickMs: number;
  readonly limits?: Partial<GroupLimits>;
  /** A program is gone at the beginning or the end of a commit, of a send, of an execution … : so often. */
  readonly crashShare: number;
  readonly timerLatenessMs: number;
}

/** Where in its work a program may be gone. */
export type Step = "commit-begins" | "commit-ended" | "sent" | "asks-the-roll" | "receives" | "executes" | "answers" | "answered";

/** The next time that a synchronising server comes to this step, it dies or stands still there. */
export interface Kill {
  readonly step: Step;
  /** Stands still for so long; undefined: dies. */
  readonly pauseMs: number | undefined;
  /** After so many others. */
  left: number;
}

/** Servers of one group, the roll as they see it, the paths between all, the callers, and what all of them did. */
export class Stage implements Servers {
  readonly world: SimWorld;
  readonly random: Random;
  readonly options: StageOptions;
  readonly paths: Paths;
  readonly roll: RollModel;
  readonly ledger: Ledger;
  readonly hosts: Host[] = [];
  readonly callers: Caller[] = [];
  readonly history: Operation[] = [];
  readonly sums: CallerSums = { acknowledged: 0, reads: 0, unknown: 0, abandoned: 0, refused: 0 };
  readonly trace: ((line: string) => void) | undefined;
  kill: Kill | undefined;
  crashes = 0;
  takeovers = 0;
  readonly #runnableUntilMs = new Map<string, number>();
  #stamps = 0;
  #calm = false;

  constructor(seed: number, options: StageOptions, trace?: (line: string) => void) {
    this.world = new SimWorld({ seed, eventsMax: 2_000_000 });
    this.random = new SeededRandom(seed * 13 + 7);
    this.options = options;
    this.trace = trace === undefined ? undefined : (line) => trace(`${this.world.nowMs.toFixed(2)} ${line}`);
    this.paths = new Paths(this.world, new SeededRandom(seed * 17 + 1), options.paths);
    let synchronising = "";
    const changed = (row: GroupRow, why: string) => {
      this.trace?.(`ROW ${JSON.stringify(row)}: ${why}`);
      if (row.synchronising !== synchronising && synchronising !== "") this.takeovers++;
      ({ synchronising } = row);
      this.#demandKept(row);
    };
    this.roll = new RollModel(this.world, new SeededRandom(seed * 19 + 5), options.roll, changed, (row) => this.#isSafe(row));
    this.ledger = new Ledger((outcome) => this.#readAnswer(outcome)?.stamp);
    for (let number = 1; number <= options.servers; number++) this.hosts.push(new Host(this, `MDS.1.${number}`));
  }

  get names(): readonly string[] {
    return this.hosts.map(({ server }) => server);
  }

  host(server: string): Host {
    const host = this.hosts.find((one) => one.server === server);
    if (host === undefined) throw new Error(`there is no server ${server}`);
    return host;
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

  /** The invariant is broken in the continuation of a promise, or in code under test that would catch it: the run fails all the same. */
  guard<T>(act: () => T): T {
    try {
      return act();
    } catch (thrown) {
      this.world.fail(thrown);
      throw thrown;
    }
  }

  addCaller(options: CallerOptions): Caller {
    const { world, random, roll } = this;
    const caller = new Caller({ world, random, roll, servers: this }, options, this.history, this.sums);
    this.callers.push(caller);
    return caller;
  }

  /** A program comes to a step of its work. Returns whether it is gone now. */
  step(host: Host, step: Step): boolean {
    if (!host.node.alive) return true;
    if (this.#calm) return false;
    const { kill } = this;
    if (kill?.step === step && this.roll.row?.synchronising === host.server && !this.isFragile() && kill.left-- <= 0) {
      this.kill = undefined;
      this.trace?.(`KILL ${host.server}: ${step} ${String(kill.pauseMs)}`);
      if (kill.pauseMs === undefined) this.crash(host);
      else this.pause(host, kill.pauseMs);
      return !host.node.alive;
    }
    if (this.options.crashShare > 0 && this.random.fraction() < this.options.crashShare && !this.isFragile()) {
      this.trace?.(`CRASH ${host.server}: ${step}`);
      this.crash(host);
      return true;
    }
    return false;
  }

  /** A disk was lost and the roll does not know yet: another fault now would lose what only it has, which no protocol survives. */
  isFragile(): boolean {
    return this.roll.row?.members.some(({ replica }) => this.#isLost(replica)) === true;
  }

  /** A row that names lost data names somebody else who is well, too. */
  #isSafe({ members }: GroupRow): boolean {
    const kept = members.filter(({ replica }) => !this.#isLost(replica));
    return kept.length === members.length || kept.some(({ server }) => this.host(server).isWell);
  }

  #isLost(replica: string): boolean {
    return this.hosts.some(({ lostReplicas }) => lostReplicas.has(replica));
  }

  /** Sooner or later the roll knows, and the program comes back. */
  crash(host: Host, downMs = this.between(2, 500), loses = false): void {
    if (!host.node.alive) return;
    this.crashes++;
    host.crash();
    if (loses) host.loseDisk();
    const life = host.node.lives;
    if (this.random.fraction() < 0.85)
      this.world.after(this.between(0.5, 150), () => {
        if (host.node.lives === life && !host.node.alive) this.roll.invalidate([host.server]);
      });
    this.world.after(downMs, () => {
      if (!host.node.alive) host.restart();
    });
  }

  /** Stands still, and often the roll gives it up meanwhile, so that it wakes deposed. */
  pause(host: Host, forMs: number): void {
    const { life } = host.node;
    this.trace?.(`PAUSE ${host.server} for ${forMs.toFixed(0)}`);
    life.pause();
    if (this.random.fraction() < 0.5) this.suspect(host, this.between(1, 100), forMs + 50);
    this.world.after(forMs, () => {
      this.trace?.(`RESUME ${host.server}`);
      life.resume();
    });
  }

  /** The roll takes it for gone, whatever it is. */
  suspect(host: Host, afterMs: number, forMs: number): void {
    this.world.after(afterMs, () => {
      if (!this.isFragile()) this.roll.invalidate([host.server]);
    });
    this.world.after(afterMs + forMs, () => {
      if (host.node.alive) this.roll.validate(host.server);
    });
  }

  /** A reply leaves. */
  answered(host: Host, id: string, outcome: Outcome, position: Position): void {
    this.trace?.(`ANSWER ${host.server}: ${id} at ${position.epoch}.${position.index}: ${outcome.kind}`);
    try {
      const isFirst = this.ledger.answer(host.server, id, outcome, position);
      if (isFirst && outcome.kind === "answer") this.#demandDurable(host, id, outcome.bytes, position);
    } catch (thrown) {
      this.world.fail(thrown);
    }
  }

  /** A copy has come to a server, which may run it for so long. */
  copied(id: string, leftMs: number): void {
    this.#runnableUntilMs.set(id, Math.max(this.#runnableUntilMs.get(id) ?? 0, this.world.nowMs + leftMs));
  }

  /** No copy is begun after its deadline, wherever it waited. */
  begins(host: Host, id: string): void {
    const untilMs = this.#runnableUntilMs.get(id) ?? 0;
    const { nowMs } = this.world;
    if (nowMs > untilMs + 0.01) this.guard(() => violation("I16", `${host.server} begins ${id} ${nowMs - untilMs} ms after its deadline`));
  }

  /** By then all members of an epoch, its own or a later one, hold it. */
  #demandDurable(host: Host, id: string, bytes: Uint8Array, { epoch, index }: Position): void {
    const rows = this.roll.rows.map(({ row }) => row).filter((row) => row.epoch >= epoch);
    const holds = (server: string) => this.host(server).held(index, bytes);
    if (!rows.some(({ members }) => members.every(({ server }) => holds(server))))
      violation(
        "I17",
        `${host.server} answers ${id} at ${epoch}.${index}, which not all members hold: ${this.names.filter(holds).join(", ")} do`,
      );
  }

  /** Any member may be the only one of a later epoch: each holds everything that was answered, durably, from the moment when it is named. */
  #demandKept({ epoch, members }: GroupRow): void {
    for (const { server, replica } of members) {
      if (this.#isLost(replica)) continue;
      const host = this.host(server);
      const missing = this.ledger.kept.find(({ index, outcome }) => !host.holds(index, outcome));
      if (missing !== undefined)
        this.world.fail(new Violation("I17", `epoch ${epoch} names ${server}, which lacks the answered ${missing.id} at ${missing.index}`));
    }
  }

  /** From here on nobody is crashed. */
  calm(): void {
    this.#calm = true;
    this.kill = undefined;
  }

  submit(...[caller, server, submission, replied]: Parameters<Servers["submit"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.submit(submission, (reply) => this.paths.send(host.node, caller.node, () => replied(reply))),
    );
  }

  ask(...[caller, server, submission, replied]: Parameters<Servers["ask"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.ask(submission, (reply) => this.paths.send(host.node, caller.node, () => replied(reply))),
    );
  }

  read(...[caller, server, key, from, replied]: Parameters<Servers["read"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.read(key, from, (reply) => this.paths.send(host.node, caller.node, () => replied(reply))),
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
