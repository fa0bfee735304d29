import { MusterError, type Random, formatRevision, parseRevision } from "../../../src/kernel/index.ts";
import { type GroupRow, groupEpochBlock, groupRowValue, parseGroupRow, withoutMembers } from "../../../src/tables/index.ts";
import type { SimLife, SimWorld } from "../../../src/testing/index.ts";

/** How the directory stands to one node. */
export interface RollDelays {
  /** One way, up and down. */
  readonly pushMs: number;
  readonly jitterMs: number;
  /** Of the changes that are asked for: so many happen long after, when nobody expects it any more. */
  readonly lateShare: number;
  /** Nothing gets lost or is late but what a fault makes so. */
  readonly isLucky?: true;
}

/** What becomes of one change that somebody asks for; without one, luck decides. */
export interface Fate {
  /** Undefined: it never happens. */
  readonly lateMs: number | undefined;
  readonly isAnswered: boolean;
}

interface Lease {
  readonly grantedAt: number;
  endedAt: number;
}

/** Whom the model asks and tells. */
export interface RollJudge {
  changed(row: GroupRow, why: string): void;
  /** Somebody asks for this row in the place of the present one. */
  asked(by: string, from: GroupRow | undefined, next: GroupRow): Fate | undefined;
  isSafe(row: GroupRow): boolean;
}

/**
 * The roll as a group sees it: one row that changes by compare-and-set, servers that are valid or not, leases of callers. What it
 * promises (I2–I7: one order of committed changes, that each node sees whole, in order, never backwards, its own writes
 * included) is what the roll's own simulation proves, so here it is taken for granted; what groups may not count on is all here: views
 * that are old, each in its own way, directories that are away, changes whose outcome nobody hears of, and that happen late.
 */
export class RollModel {
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #delays: RollDelays;
  #sequence = 0;
  /** Ascending by sequence. */
  readonly rows: { readonly sequence: number; readonly row: GroupRow }[] = [];
  readonly #leases = new Map<string, Lease>();
  readonly #invalid = new Set<string>();
  readonly #views = new Set<RollView>();
  /** Nothing goes up or down before. */
  #backMs = 0;
  /** Nothing is lost or late any more, but what is on its way. */
  #isMended = false;
  readonly #judge: RollJudge;
  /** Rows that were asked for in the place of the present one, and that may come yet as far as who asked can know. */
  readonly #possible = new Set<GroupRow>();
  /** Changes whose asker lives and never heard what became of them. */
  unheard = 0;

  constructor(world: SimWorld, random: Random, delays: RollDelays, judge: RollJudge) {
    this.#world = world;
    this.#random = random;
    this.#delays = delays;
    this.#judge = judge;
  }

  /** The row, and those that may take its place. */
  *rowsThatCount(): Iterable<GroupRow> {
    const { row } = this;
    if (row !== undefined) yield row;
    yield* this.#possible;
  }

  get sequence(): number {
    return this.#sequence;
  }

  get row(): GroupRow | undefined {
    return this.rows.at(-1)?.row;
  }

  rowAt(sequence: number): GroupRow | undefined {
    return this.rows.findLast((one) => one.sequence <= sequence)?.row;
  }

  leaseAt(lease: string, sequence: number): "live" | "ended" | undefined {
    const found = this.#leases.get(lease);
    if (found === undefined || found.grantedAt > sequence) return undefined;
    return found.endedAt <= sequence ? "ended" : "live";
  }

  /** The revision at which it was given. */
  grant(lease: string): string {
    this.#commit();
    this.#leases.set(lease, { grantedAt: this.#sequence, endedAt: Number.POSITIVE_INFINITY });
    return formatRevision({ epoch: 1, sequence: this.#sequence });
  }

  end(lease: string): void {
    const found = this.#leases.get(lease);
    if (found === undefined || found.endedAt <= this.#sequence) return;
    this.#commit();
    found.endedAt = this.#sequence;
  }

  isValid(server: string): boolean {
    return !this.#invalid.has(server);
  }

  /** Servers are given up, rightly or wrongly, and with that leave their group: one change. */
  invalidate(servers: readonly string[]): void {
    const news = servers.filter((server) => this.isValid(server));
    if (news.length === 0) return;
    for (const server of news) this.#invalid.add(server);
    this.#commit();
    const { row } = this;
    if (row === undefined || !row.members.some(({ server }) => news.includes(server))) return;
    const next = withoutMembers(row, (server) => !this.isValid(server));
    if (next !== undefined) this.#put(next, `${news.join(", ")} given up`);
  }

  validate(server: string): void {
    if (this.#invalid.delete(server)) this.#commit();
  }

  /** The directory is away for so long. */
  away(forMs: number): void {
    this.#backMs = Math.max(this.#backMs, this.#world.nowMs + forMs);
  }

  /** One node hears nothing of the roll for so long; what it asks for still goes up. */
  detach(node: string, forMs: number): void {
    for (const view of this.#views) if (view.life.node.name === node) view.deafUntilMs = this.#world.nowMs + forMs;
  }

  mend(): void {
    this.#isMended = true;
    this.#backMs = 0;
    for (const view of this.#views) view.deafUntilMs = 0;
  }

  /** What one life sees, from somewhere in the past on. */
  open(life: SimLife, behind: number, loadMs: number): RollView {
    const view = new RollView(this, life, Math.max(0, this.#sequence - behind));
    this.#views.add(view);
    life.onEnd(() => this.#views.delete(view));
    this.#carry(view, loadMs);
    return view;
  }

  /** A delay of one way, and more while the directory is away. */
  wayMs(): number {
    const { pushMs, jitterMs } = this.#delays;
    const fraction = this.#random.fraction();
    // Now and then one node is far behind all others.
    const late = this.luck() < 0.02 ? 200 * this.#random.fraction() : 0;
    return Math.max(0, this.#backMs - this.#world.nowMs) + pushMs + jitterMs * fraction ** 3 + late;
  }

  /** What becomes of a request of a member: 0 … 1. */
  luck(): number {
    return this.#isMended || this.#delays.isLucky === true ? 0.5 : this.#random.fraction();
  }

  /** By luck. */
  fate(): Fate {
    const luck = this.luck();
    if (luck < 0.03) return { lateMs: undefined, isAnswered: false };
    return { lateMs: luck < 0.03 + this.#delays.lateShare ? 600 * this.luck() : 0, isAnswered: luck <= 0.95 };
  }

  /** At the directory. */
  compareAndSet(by: string, from: GroupRow | undefined, next: GroupRow): MusterError | undefined {
    const { row } = this;
    const refused = (code: string, why: string) => new MusterError(code, why, { next: "read the row again" });
    if (textOf(row) !== textOf(from)) return refused("roll/condition-failed", "the row is another one by now");
    const isNext = row === undefined || next.epoch === row.epoch + 1 || (next.epoch > row.epoch && next.epoch % groupEpochBlock === 0);
    if (!isNext) return refused("roll/group-epoch", "epochs go up one by one");
    const [first] = next.members;
    const kept = next.members.length === 1 && row?.members.some(({ server }) => server === first?.server) === true;
    if (!kept && next.members.some(({ server }) => !this.isValid(server))) return refused("roll/group-member", "a member is not valid");
    // Somebody asks for that who does not know yet that a disk was lost: two faults at once, which no protocol survives.
    if (!this.#judge.isSafe(next)) return refused("roll/condition-failed", "nobody would be left");
    this.#put(parseGroupRow(groupRowValue(next)), `asked for by ${by}`);
    return undefined;
  }

  /** Written by hand, or put back with an older roll: whatever it names. */
  force(row: GroupRow, why: string): void {
    this.#put(parseGroupRow(groupRowValue(row)), why);
  }

  /** A member asks for a change of the row. Called at once; returns what becomes of it. */
  ask(by: string, from: GroupRow | undefined, next: GroupRow): Fate | undefined {
    if (textOf(this.row) !== textOf(from)) return undefined;
    this.#possible.add(next);
    return this.#judge.asked(by, from, next);
  }

  /** Who asked knows for sure that it did not happen. */
  refusedFor(next: GroupRow): void {
    this.#possible.delete(next);
  }

  #put(row: GroupRow, why: string): void {
    this.#commit();
    this.rows.push({ sequence: this.#sequence, row });
    this.#possible.clear();
    this.#judge.changed(row, why);
  }

  #commit(): void {
    this.#sequence++;
    for (const view of this.#views) this.#carry(view, 0);
  }

  /** One thing on its way to a view at a time: what is committed meanwhile comes with the next, so the order holds. */
  #carry(view: RollView, moreMs: number): void {
    if (view.expects) return;
    view.expects = true;
    const upTo = this.#sequence;
    view.life.plan(this.#world.nowMs + moreMs + this.wayMs(), "input", () => {
      view.expects = false;
      const deafMs = view.deafUntilMs - this.#world.nowMs;
      if (deafMs > 0) {
        this.#carry(view, deafMs);
        return;
      }
      view.show(upTo);
      if (upTo < this.#sequence) this.#carry(view, 0);
    });
  }
}

function textOf(row: GroupRow | undefined): string {
  return row === undefined ? "" : JSON.stringify(groupRowValue(row));
}

/** One node's replica of it: the port of the groups. */
export class RollView {
  readonly life: SimLife;
  readonly #roll: RollModel;
  #position: number;
  #loaded = false;
  readonly #rowObservers = new Set<() => void>();
  readonly #leaseObservers = new Set<() => void>();
  readonly #waiting = new Set<{ readonly sequence: number; readonly shown: () => void }>();
  /** Something is on its way. */
  expects = false;
  deafUntilMs = 0;

  constructor(roll: RollModel, life: SimLife, position: number) {
    this.#roll = roll;
    this.life = life;
    this.#position = position;
  }

  row(): GroupRow | undefined {
    return this.#loaded ? this.#roll.rowAt(this.#position) : undefined;
  }

  lease(lease: string, revision: string): "live" | "ended" | "unknown" {
    const since = parseRevision(revision)?.sequence ?? 0;
    if (!this.#loaded) return "unknown";
    return this.#roll.leaseAt(lease, this.#position) ?? (since <= this.#position ? "ended" : "unknown");
  }

  observe(changed: () => void): () => void {
    this.#rowObservers.add(changed);
    return () => this.#rowObservers.delete(changed);
  }

  observeLeases(changed: () => void): () => void {
    this.#leaseObservers.add(changed);
    return () => this.#leaseObservers.delete(changed);
  }

  change(from: GroupRow | undefined, next: GroupRow): Promise<void> {
    const { world } = this.life;
    // Code that is gone asks for nothing.
    if (!this.life.alive) return new Promise(() => {});
    const roll = this.#roll;
    const fate = roll.ask(this.life.node.name, from, next);
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (act: () => void) => {
        if (isSettled || !this.life.alive) return;
        isSettled = true;
        this.life.plan(world.nowMs, "input", act);
      };
      const giveUpMs = 300 + 300 * roll.luck();
      const unknown = () => {
        roll.unheard++;
        reject(new MusterError("roll/unknown", "nobody heard what became of the change", { effect: "maybe", next: "read the row" }));
      };
      world.after(giveUpMs, () => settle(unknown));
      const { lateMs, isAnswered } = fate ?? roll.fate();
      if (lateMs === undefined) return;
      world.after(roll.wayMs() + lateMs, () => {
        const refused = roll.compareAndSet(this.life.node.name, from, next);
        const { sequence } = roll;
        if (!isAnswered) return;
        if (refused !== undefined)
          world.after(roll.wayMs(), () =>
            settle(() => {
              roll.refusedFor(next);
              reject(refused);
            }),
          );
        else if (this.#position >= sequence) settle(resolve);
        else this.#waiting.add({ sequence, shown: () => settle(resolve) });
      });
    });
  }

  show(position: number): void {
    const isFirst = !this.#loaded;
    const before = this.row();
    this.#loaded = true;
    this.#position = Math.max(this.#position, position);
    if (this.row() !== before || isFirst) for (const changed of [...this.#rowObservers]) changed();
    for (const changed of [...this.#leaseObservers]) changed();
    for (const one of [...this.#waiting])
      if (one.sequence <= this.#position) {
        this.#waiting.delete(one);
        one.shown();
      }
  }
}
