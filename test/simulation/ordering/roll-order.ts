import { MusterError, type Random, formatRevision, parseRevision } from "../../../src/kernel/index.ts";
import { type GroupRow, groupEpochBlock, groupRowValue } from "../../../src/tables/index.ts";
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

/** Something that a node asks the roll for. */
interface Change {
  /** At the directory. Returns why not. */
  readonly happen: () => MusterError | undefined;
  readonly fate?: Fate | undefined;
  /** Who asked knows for sure that it did not happen. */
  readonly refused?: () => void;
}

/** A row or a map, and since when it stands. */
export interface Version<Row> {
  readonly sequence: number;
  readonly row: Row;
}

interface Lease {
  readonly grantedAt: number;
  endedAt: number;
}

/** The version that stood then. */
export function versionAt<Row>(versions: readonly Version<Row>[] | undefined, sequence: number): Row | undefined {
  return versions?.findLast((one) => one.sequence <= sequence)?.row;
}

export function rowText(row: GroupRow | undefined): string {
  return row === undefined ? "" : JSON.stringify(groupRowValue(row));
}

/**
 * The roll as groups see it, without the rows, which each simulation adds: one order of changes, servers that are valid or not, leases of
 * callers. What the roll promises (I2–I7: one order of committed changes, that each node sees whole, in order, never backwards, its own writes
 * included) is what its own simulation proves, so here it is taken for granted; what groups may not count on is all here: views
 * that are old, each in its own way, directories that are away, changes whose outcome nobody hears of, and that happen late.
 */
export abstract class RollOrder<View extends RollView> {
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #delays: RollDelays;
  #sequence = 0;
  readonly #leases = new Map<string, Lease>();
  readonly #invalid = new Set<string>();
  readonly #views = new Set<View>();
  /** Nothing goes up or down before. */
  #backMs = 0;
  /** Nothing is lost or late any more, but what is on its way. */
  #isMended = false;
  /** Changes whose asker lives and never heard what became of them. */
  unheard = 0;

  constructor(world: SimWorld, random: Random, delays: RollDelays) {
    this.#world = world;
    this.#random = random;
    this.#delays = delays;
  }

  /** What one life sees from this place on. */
  protected abstract viewFrom(life: SimLife, position: number): View;
  /** Servers are not valid any more: they leave their groups. */
  protected abstract leave(servers: readonly string[]): void;

  get sequence(): number {
    return this.#sequence;
  }

  leaseAt(lease: string, sequence: number): "live" | "ended" | undefined {
    const found = this.#leases.get(lease);
    if (found === undefined || found.grantedAt > sequence) return undefined;
    return found.endedAt <= sequence ? "ended" : "live";
  }

  /** The revision at which it was given. */
  grant(lease: string): string {
    this.commit();
    this.#leases.set(lease, { grantedAt: this.#sequence, endedAt: Number.POSITIVE_INFINITY });
    return formatRevision({ epoch: 1, sequence: this.#sequence });
  }

  end(lease: string): void {
    const found = this.#leases.get(lease);
    if (found === undefined || found.endedAt <= this.#sequence) return;
    this.commit();
    found.endedAt = this.#sequence;
  }

  isValid(server: string): boolean {
    return !this.#invalid.has(server);
  }

  /** Servers are given up, rightly or wrongly, and with that leave their groups. */
  invalidate(servers: readonly string[]): void {
    const news = servers.filter((server) => this.isValid(server));
    if (news.length === 0) return;
    for (const server of news) this.#invalid.add(server);
    this.commit();
    this.leave(news);
  }

  validate(server: string): void {
    if (this.#invalid.delete(server)) this.commit();
  }

  /** The directory is away for so long. */
  away(forMs: number): void {
    this.#backMs = Math.max(this.#backMs, this.#world.nowMs + forMs);
  }

  /** One node hears nothing of the roll for so long; what it asks for still goes up. */
  detach(node: string, forMs: number): void {
    for (const view of this.#views) if (view.life.node.name === node) view.deafUntilMs = this.#world.nowMs + forMs;
  }

  /** Nothing is lost or late from now on; what was asked for before may still happen. */
  mend(): void {
    this.#isMended = true;
    this.#backMs = 0;
    for (const view of this.#views) view.deafUntilMs = 0;
  }

  /** What one life sees, from somewhere in the past on. */
  open(life: SimLife, behind: number, loadMs: number): View {
    const view = this.viewFrom(life, Math.max(0, this.#sequence - behind));
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

  /** Why a group's row is not to be `next`, by what the directory knows of rows and servers. */
  protected flawOf(row: GroupRow | undefined, from: GroupRow | undefined, next: GroupRow): MusterError | undefined {
    if (rowText(row) !== rowText(from)) return refusal("roll/condition-failed", "the row is another one by now");
    const isNext = row === undefined || next.epoch === row.epoch + 1 || (next.epoch > row.epoch && next.epoch % groupEpochBlock === 0);
    if (!isNext) return refusal("roll/group-epoch", "epochs go up one by one");
    const [first] = next.members;
    const kept = next.members.length === 1 && row?.members.some(({ server }) => server === first?.server) === true;
    if (!kept && next.members.some(({ server }) => !this.isValid(server))) return refusal("roll/group-member", "a member is not valid");
    return undefined;
  }

  /** Something changes: everybody is told. */
  protected commit(): void {
    this.#sequence++;
    for (const view of this.#views) this.#carry(view, 0);
  }

  /** One thing on its way to a view at a time: what is committed meanwhile comes with the next, so the order holds. */
  #carry(view: View, moreMs: number): void {
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

export function refusal(code: string, why: string): MusterError {
  return new MusterError(code, why, { next: "read the row again" });
}

/** Whoever observes leases is told of every step, whatever it changed. */
const leases = "leases";

/** One node's replica: behind the roll, in its order, and asking for changes without ever being sure to hear what became of them. */
export abstract class RollView {
  readonly life: SimLife;
  readonly #roll: RollOrder<RollView>;
  #position: number;
  #loaded = false;
  readonly #observers = new Map<string, Set<() => void>>();
  readonly #waiting = new Set<{ readonly sequence: number; readonly shown: () => void }>();
  /** Something is on its way. */
  expects = false;
  deafUntilMs = 0;

  constructor(roll: RollOrder<RollView>, life: SimLife, position: number) {
    this.#roll = roll;
    this.life = life;
    this.#position = position;
  }

  /** What is observed under this name, as it is here. */
  protected abstract see(what: string): unknown;

  /** Undefined while nothing has come yet. */
  protected get position(): number | undefined {
    return this.#loaded ? this.#position : undefined;
  }

  lease(lease: string, revision: string): "live" | "ended" | "unknown" {
    const since = parseRevision(revision)?.sequence ?? 0;
    if (!this.#loaded) return "unknown";
    return this.#roll.leaseAt(lease, this.#position) ?? (since <= this.#position ? "ended" : "unknown");
  }

  observeLeases(changed: () => void): () => void {
    return this.watch(leases, changed);
  }

  protected watch(what: string, changed: () => void): () => void {
    const observers = this.#observers.get(what) ?? new Set();
    this.#observers.set(what, observers);
    observers.add(changed);
    return () => observers.delete(changed);
  }

  /** What is asked for, or the answer to it, may be lost; and it may happen late. */
  protected ask({ happen, fate, refused }: Change): Promise<void> {
    const { world } = this.life;
    const roll = this.#roll;
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
        const error = happen();
        const { sequence } = roll;
        if (!isAnswered) return;
        if (error !== undefined)
          world.after(roll.wayMs(), () =>
            settle(() => {
              refused?.();
              reject(error);
            }),
          );
        else if (this.#position >= sequence) settle(resolve);
        else this.#waiting.add({ sequence, shown: () => settle(resolve) });
      });
    });
  }

  show(position: number): void {
    const isFirst = !this.#loaded;
    const before = new Map([...this.#observers.keys()].map((what) => [what, this.see(what)]));
    this.#loaded = true;
    this.#position = Math.max(this.#position, position);
    for (const [what, observers] of this.#observers)
      if (what === leases || isFirst || this.see(what) !== before.get(what)) for (const changed of [...observers]) changed();
    for (const one of [...this.#waiting])
      if (one.sequence <= this.#position) {
        this.#waiting.delete(one);
        one.shown();
      }
  }
}
