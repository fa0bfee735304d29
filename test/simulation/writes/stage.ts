import { type GroupLimits, type Outcome, type Position, type RequestId, groupLimits } from "../../../src/groups/index.ts";
import { type Random, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import type { StoreBatch } from "../../../src/storage/index.ts";
import type { GroupRow } from "../../../src/tables/index.ts";
import { SimWorld } from "../../../src/testing/index.ts";
import { violation } from "../roll/violation.ts";
import { Caller, type CallerOptions, type CallerSums, type Servers } from "./caller.ts";
import type { Operation } from "./history.ts";
import { Host } from "./host.ts";
import { idText } from "./ids.ts";
import { judge } from "./judging.ts";
import { Keeping } from "./keeping.ts";
import { Ledger } from "./ledger.ts";
import { type PathOptions, Paths } from "./paths.ts";
import { type Fate, type RollDelays, RollModel } from "./roll-model.ts";
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
  /** How the state is kept: rows of which the changes go into the log, or rows on which each member carries out the order again. */
  readonly state: "rows" | "replay";
  /** Handlers answer at once, or in a promise all the same. */
  readonly isAlwaysAsync: boolean;
}

/** Something that is to happen when a server comes to a point of its work that faults hit by luck only. */
export interface Plot {
  /** A synchronising server asks for a row that names another member, or sends a part of a state. */
  readonly when: "names" | "part";
  readonly fate: Fate | undefined;
  readonly strike: (synchronising: Host, other: string) => void;
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
  readonly keeping: Keeping;
  readonly hosts: Host[] = [];
  readonly callers: Caller[] = [];
  readonly history: Operation[] = [];
  readonly sums: CallerSums = { acknowledged: 0, reads: 0, unknown: 0, abandoned: 0, refused: 0 };
  readonly trace: ((line: string) => void) | undefined;
  /** When an operator gave copies up; everything before it was judged then. */
  loss: { readonly atMs: number } | undefined;
  kill: Kill | undefined;
  plot: Plot | undefined;
  crashes = 0;
  takeovers = 0;
  /** Things that happened, by name. */
  readonly counts = new Map<string, number>();
  readonly #runnableUntilMs = new Map<string, number>();
  /** Requests that somebody has asked about, and those whose handler did not answer at once. */
  readonly #asked = new Set<string>();
  readonly #slow = new Set<string>();
  #stamps = 0;
  #calm = false;

  constructor(seed: number, options: StageOptions, trace?: (line: string) => void) {
    this.world = new SimWorld({ seed, eventsMax: 2_000_000 });
    this.random = new SeededRandom(seed * 13 + 7);
    this.options = options;
    this.trace = trace === undefined ? undefined : (line) => trace(`${this.world.nowMs.toFixed(2)} ${line}`);
    this.paths = new Paths(this.world, new SeededRandom(seed * 17 + 1), options.paths);
    this.roll = new RollModel(this.world, new SeededRandom(seed * 19 + 5), options.roll, {
      changed: (row, why) => this.#rowChanged(row, why),
      asked: (by, from, next) => this.#rowAsked(by, from, next),
      isSafe: (row) => this.#isSafe(row),
    });
    this.ledger = new Ledger((outcome) => this.#readAnswer(outcome)?.stamp);
    this.keeping = new Keeping({
      isEnded: (lease) => this.roll.leaseAt(lease, this.roll.sequence) === "ended",
      isAsked: (id) => this.#asked.has(id),
      mayExecute: (epoch, id) => this.#slow.has(id) || this.#copiesIn(epoch) >= options.copiesMin,
      endedMax: options.limits?.endedMax ?? groupLimits.endedMax,
      rows: () => this.roll.rowsThatCount(),
      isLost: (replica) => this.#isLost(replica),
      gone: (from) => {
        this.trace?.(`GONE from ${from} on`);
        this.ledger.forget(from);
      },
    });
    for (let number = 1; number <= options.servers; number++) this.hosts.push(new Host(this, `MDS.1.${number}`));
  }

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  #rowChanged(row: GroupRow, why: string): void {
    this.trace?.(`ROW ${JSON.stringify(row)}: ${why}`);
    const before = this.roll.rows.at(-2)?.row;
    if (before !== undefined && before.synchronising !== row.synchronising) {
      this.takeovers++;
      if (row.members.some(({ server }) => server === before.synchronising)) this.count("moved");
    }
    this.fails(() => this.keeping.demandKept(row, "the roll names in"));
  }

  #rowAsked(by: string, from: GroupRow | undefined, next: GroupRow): Fate | undefined {
    this.fails(() => this.keeping.demandKept(next, `${by} asks for`));
    const news = next.members.find(({ server }) => from?.members.some((one) => one.server === server) === false);
    return news === undefined ? undefined : this.plotted("names", this.host(by), news.server);
  }

  /** A synchronising server has come to a point that a plot waits for. */
  plotted(when: Plot["when"], synchronising: Host, other: string): Fate | undefined {
    const { plot } = this;
    if (plot?.when !== when || this.#calm) return undefined;
    this.plot = undefined;
    this.count("plots");
    this.trace?.(`PLOT: ${synchronising.server} ${when} ${other} ${JSON.stringify(plot.fate)}`);
    // Not in the middle of what it does.
    this.world.after(0, () => plot.strike(synchronising, other));
    return plot.fate;
  }

  #copiesIn(epoch: number): number {
    return this.roll.rows.findLast(({ row }) => row.epoch === epoch)?.row.members.length ?? 0;
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

  part(a: string, b: string, forMs: number): void {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      this.paths.cut(from, to);
      this.world.after(forMs, () => this.paths.heal(from, to));
    }
  }

  /**
   * What callers were told before an operator gave copies up holds no longer, so it is judged now. Their programs end with it, and with
   * everything that is under way, so that nothing of the old history gets into the new one but by the log.
   */
  newHistory(giveUp: () => void): void {
    judge(this);
    this.loss = { atMs: this.world.nowMs };
    this.history.length = 0;
    const living = this.callers.filter(({ alive }) => alive);
    for (const caller of this.callers) caller.isOld = true;
    for (const caller of living) caller.die();
    this.paths.drop();
    giveUp();
    // Until somebody orders again each server may show what it had: nothing is promised of that.
    const goOn = () => {
      if (this.#calm) return;
      if (this.keeping.isLossOpen) this.world.after(5, goOn);
      else for (const caller of living) this.addCaller({ ...caller.options, name: `${caller.lease}b` });
    };
    goOn();
  }

  /** For what is judged inside of code that knows nothing of it and goes on. */
  fails(act: () => void): void {
    try {
      act();
    } catch (thrown) {
      this.world.fail(thrown);
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
    host.restsUntilMs = this.world.nowMs + forMs;
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
  answered(host: Host, id: RequestId, outcome: Outcome, position: Position): void {
    const text = idText(id);
    this.trace?.(`ANSWER ${host.server}: ${text} at ${position.epoch}.${position.index}: ${outcome.kind}`);
    this.fails(() => {
      if (this.keeping.isGone(position)) return;
      if (position.index > this.keeping.log.end) this.claims(host.server, position.index);
      this.keeping.log.demandAnswer(host.server, text, outcome, position);
      const copies = this.keeping.holders(position.index);
      if (outcome.kind !== "abandoned" && copies < this.options.copiesMin)
        violation("I17", `${host.server} answers ${text}, which ${copies} servers hold, and it must be ${this.options.copiesMin}`);
      this.ledger.answer(host.server, text, outcome, position);
    });
  }

  /** False: what it has is no part of history any more, and it does not know yet. */
  claims(server: string, index: number): boolean {
    const host = this.host(server);
    if (this.keeping.isElsewhere(host, index)) return false;
    this.keeping.claims(server, host.replica, index);
    return true;
  }

  stored(host: Host, batch: StoreBatch): void {
    this.fails(() => this.keeping.stored(host.server, batch));
  }

  /** A copy has come to a server, which may run it for so long. */
  copied(id: string, leftMs: number): void {
    this.#runnableUntilMs.set(id, Math.max(this.#runnableUntilMs.get(id) ?? 0, this.world.nowMs + leftMs));
  }

  /** No copy is begun after its deadline, wherever it waited. */
  begins(host: Host, id: RequestId): void {
    const text = idText(id);
    const untilMs = this.#runnableUntilMs.get(text) ?? 0;
    const { nowMs } = this.world;
    if (nowMs > untilMs + 0.01)
      this.guard(() => violation("I16", `${host.server} begins ${text} ${nowMs - untilMs} ms after its deadline`));
    const lease = host.leaseSeen(id.lease);
    if (lease !== "live") this.guard(() => violation("I16", `${host.server} begins ${text}, whose lease is ${lease}`));
  }

  /** Its handler did not answer at once. */
  takesTime(id: RequestId): void {
    this.#slow.add(idText(id));
  }

  /** From here on nobody is crashed. */
  calm(): void {
    this.#calm = true;
    this.kill = undefined;
    this.plot = undefined;
  }

  submit(...[caller, server, submission, replied]: Parameters<Servers["submit"]>): void {
    const host = this.host(server);
    this.paths.send(caller.node, host.node, () =>
      host.submit(submission, (reply) => this.paths.send(host.node, caller.node, () => replied(reply))),
    );
  }

  ask(...[caller, server, submission, replied]: Parameters<Servers["ask"]>): void {
    const host = this.host(server);
    this.#asked.add(idText(submission.id));
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
