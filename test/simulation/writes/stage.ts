import { type Outcome, type Position, type RequestId, groupLimits } from "../../../src/groups/index.ts";
import { SeededRandom } from "../../../src/kernel/index.ts";
import type { StoreBatch } from "../../../src/storage/index.ts";
import type { GroupRow } from "../../../src/tables/index.ts";
import type { CallerSums } from "../ordering/caller.ts";
import { idText } from "../ordering/ids.ts";
import type { Fate } from "../ordering/roll-order.ts";
import { type CrashTimes, type Kill, OrderingStage, type StageOptions, type Trace } from "../ordering/stage.ts";
import { violation } from "../roll/violation.ts";
import { Caller, type GroupCallerOptions, type GroupServers } from "./caller.ts";
import { Host } from "./host.ts";
import { judge } from "./judging.ts";
import { Keeping } from "./keeping.ts";
import { Ledger } from "./ledger.ts";
import { GroupRoll } from "./roll-model.ts";

export interface GroupStageOptions extends StageOptions {
  readonly servers: number;
  readonly copiesMin: number;
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
export const steps = ["receives", "executes", "commit-begins", "commit-ended", "sent", "answers", "answered", "asks-the-roll"] as const;
export type Step = (typeof steps)[number];

/** Servers of one group, the roll as they see it, the paths between all, the callers, and what all of them did. */
export class Stage extends OrderingStage<Host, GroupCallerOptions, Caller, Step> implements GroupServers {
  readonly options: GroupStageOptions;
  readonly roll: GroupRoll;
  protected readonly crashTimes: CrashTimes = { downMsMax: 500, unseenMsMax: 150 };
  readonly ledger: Ledger;
  readonly keeping: Keeping;
  readonly sums: CallerSums = { acknowledged: 0, reads: 0, unknown: 0, abandoned: 0, refused: 0 };
  /** When an operator gave copies up; everything before it was judged then. */
  loss: { readonly atMs: number } | undefined;
  kill: Kill<Step> | undefined;
  plot: Plot | undefined;
  takeovers = 0;
  /** Things that happened, by name. */
  readonly counts = new Map<string, number>();
  readonly #runnableUntilMs = new Map<string, number>();
  /** Requests that somebody has asked about, and those whose handler did not answer at once. */
  readonly #asked = new Set<string>();
  readonly #slow = new Set<string>();

  constructor(seed: number, options: GroupStageOptions, trace?: Trace) {
    super({ world: seed, stage: seed * 13 + 7, paths: seed * 17 + 1 }, options.paths, 2_000_000, trace);
    this.options = options;
    this.roll = new GroupRoll(this.world, new SeededRandom(seed * 19 + 5), options.roll, {
      changed: (row, why) => this.#rowChanged(row, why),
      asked: (by, from, next) => this.#rowAsked(by, from, next),
      isSafe: (row) => this.#isSafe(row),
    });
    this.ledger = new Ledger((outcome) => this.stampOf(outcome));
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
    for (let number = 1; number <= options.servers; number++) this.addHost(new Host(this, `MDS.1.${number}`));
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
    if (plot?.when !== when || this.isCalm) return undefined;
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

  victim(): Host {
    const synchronising = this.roll.row?.synchronising;
    if (synchronising !== undefined && this.random.fraction() < 0.6) return this.host(synchronising);
    return this.pick(this.hosts);
  }

  protected isMeant({ server }: Host): boolean {
    return this.roll.row?.synchronising === server;
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
      if (this.isCalm) return;
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

  addCaller(options: GroupCallerOptions): Caller {
    const { world, random, roll, history, sums } = this;
    const caller = new Caller({ world, random, roll, servers: this }, options, { history, sums });
    this.callers.push(caller);
    return caller;
  }

  /** A disk was lost and the roll does not know yet: another fault now would lose what only it has, which no protocol survives. */
  override isFragile(): boolean {
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

  /** It crashes, and comes back with an empty disk. */
  loseDisk(host: Host, downMs: number): void {
    if (!host.node.alive) return;
    this.crash(host, downMs);
    host.loseDisk();
  }

  override pause(host: Host, forMs: number): void {
    host.restsUntilMs = this.world.nowMs + forMs;
    super.pause(host, forMs);
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

  override calm(): void {
    super.calm();
    this.plot = undefined;
  }

  override ask(...[caller, server, question, replied]: Parameters<GroupServers["ask"]>): void {
    this.#asked.add(idText(question.id));
    super.ask(caller, server, question, replied);
  }

  read(...[caller, server, key, from, replied]: Parameters<GroupServers["read"]>): void {
    this.reach(caller, server, (host, reply) => host.read(key, from, reply), replied);
  }
}
