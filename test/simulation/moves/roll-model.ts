import { MusterError, type Random, formatRevision, parseRevision } from "../../../src/kernel/index.ts";
import {
  type GroupRow,
  type PartitionRow,
  flawOfPartition,
  groupEpochBlock,
  groupRowValue,
  parseGroupRow,
  parsePartitionRow,
  partitionRowValue,
  withoutMembers,
} from "../../../src/tables/index.ts";
import type { SimLife, SimWorld } from "../../../src/testing/index.ts";
import type { RollDelays } from "../writes/roll-model.ts";

interface Version<Row> {
  readonly sequence: number;
  readonly row: Row;
}

interface Lease {
  readonly grantedAt: number;
  endedAt: number;
}

const mapKey = "map";

/**
 * The roll as several groups of one service see it: a row for each, the map of their slots, servers that are valid or not, leases of
 * callers; all in one order. As in the simulation of one group: what the roll promises is taken for granted, what groups may not count on
 * is here: views that are old, directories that are away, changes whose outcome nobody hears of, and that happen late.
 */
export class MovesRoll {
  readonly world: SimWorld;
  readonly #random: Random;
  readonly #delays: RollDelays;
  #sequence = 0;
  readonly #rows = new Map<string, Version<GroupRow>[]>();
  readonly maps: Version<PartitionRow>[] = [];
  readonly #leases = new Map<string, Lease>();
  readonly #invalid = new Set<string>();
  readonly #views = new Set<MovesView>();
  #backMs = 0;
  #isCalm = false;
  readonly #changed: (what: string) => void;

  constructor(world: SimWorld, random: Random, delays: RollDelays, changed: (what: string) => void) {
    this.world = world;
    this.#random = random;
    this.#delays = delays;
    this.#changed = changed;
  }

  get sequence(): number {
    return this.#sequence;
  }

  row(group: string): GroupRow | undefined {
    return this.#rows.get(group)?.at(-1)?.row;
  }

  get map(): PartitionRow | undefined {
    return this.maps.at(-1)?.row;
  }

  rowAt(group: string, sequence: number): GroupRow | undefined {
    return this.#rows.get(group)?.findLast((one) => one.sequence <= sequence)?.row;
  }

  mapAt(sequence: number): PartitionRow | undefined {
    return this.maps.findLast((one) => one.sequence <= sequence)?.row;
  }

  leaseAt(lease: string, sequence: number): "live" | "ended" | undefined {
    const found = this.#leases.get(lease);
    if (found === undefined || found.grantedAt > sequence) return undefined;
    return found.endedAt <= sequence ? "ended" : "live";
  }

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

  invalidate(server: string): void {
    if (!this.isValid(server)) return;
    this.#invalid.add(server);
    this.#commit();
    const group = server.slice(0, server.lastIndexOf("."));
    const row = this.row(group);
    const next = row === undefined ? undefined : withoutMembers(row, (one) => !this.isValid(one));
    if (next !== undefined) this.#put(group, next, `${server} given up`);
  }

  validate(server: string): void {
    if (this.#invalid.delete(server)) this.#commit();
  }

  away(forMs: number): void {
    this.#backMs = Math.max(this.#backMs, this.world.nowMs + forMs);
  }

  detach(node: string, forMs: number): void {
    for (const view of this.#views) if (view.life.node.name === node) view.deafUntilMs = this.world.nowMs + forMs;
  }

  /** Nothing is lost or late from now on; what was asked for before may still happen. */
  mend(): void {
    this.#isCalm = true;
    this.#backMs = 0;
    for (const view of this.#views) view.deafUntilMs = 0;
  }

  open(life: SimLife, behind: number, loadMs: number): MovesView {
    const view = new MovesView(this, life, Math.max(0, this.#sequence - behind));
    this.#views.add(view);
    life.onEnd(() => this.#views.delete(view));
    this.#carry(view, loadMs);
    return view;
  }

  wayMs(): number {
    const { pushMs, jitterMs } = this.#delays;
    const fraction = this.#random.fraction();
    const late = this.luck() < 0.02 ? 200 * this.#random.fraction() : 0;
    return Math.max(0, this.#backMs - this.world.nowMs) + pushMs + jitterMs * fraction ** 3 + late;
  }

  luck(): number {
    return this.#delays.isLucky === true || this.#isCalm ? 0.5 : this.#random.fraction();
  }

  get lateShare(): number {
    return this.#delays.lateShare;
  }

  /** At the directory. */
  setGroup(group: string, from: GroupRow | undefined, next: GroupRow): MusterError | undefined {
    const row = this.row(group);
    if (groupText(row) !== groupText(from)) return refused("the row is another one by now");
    const isNext = row === undefined || next.epoch === row.epoch + 1 || (next.epoch > row.epoch && next.epoch % groupEpochBlock === 0);
    if (!isNext) return refused("epochs go up one by one");
    const [first] = next.members;
    const kept = next.members.length === 1 && row?.members.some(({ server }) => server === first?.server) === true;
    if (!kept && next.members.some(({ server }) => !this.isValid(server))) return refused("a member is not valid");
    this.#put(group, parseGroupRow(groupRowValue(next)), "asked for");
    return undefined;
  }

  setMap(from: PartitionRow | undefined, next: PartitionRow): MusterError | undefined {
    const { map } = this;
    if (mapText(map) !== mapText(from)) return refused("the map is another one by now");
    const flaw = flawOfPartition(map, next);
    if (flaw !== undefined) return refused(flaw);
    const row = parsePartitionRow(partitionRowValue(next));
    this.#commit();
    this.maps.push({ sequence: this.#sequence, row });
    this.#changed(
      `MAP ${row.revision}: ${row.runs.map((run) => `${run.first}-${run.last} ${run.instance}@${run.revision}`).join(", ")}; ${row.moves.map(({ slot, to }) => `${slot}>${to}`).join(", ")}`,
    );
    return undefined;
  }

  /** The whole roll was put back from a copy of earlier days, as far as the map goes. */
  restoreMap(row: PartitionRow): void {
    this.#commit();
    this.maps.push({ sequence: this.#sequence, row });
    this.#changed(`MAP restored: ${row.revision}`);
  }

  #put(group: string, row: GroupRow, why: string): void {
    this.#commit();
    const rows = this.#rows.get(group) ?? [];
    this.#rows.set(group, rows);
    rows.push({ sequence: this.#sequence, row });
    this.#changed(`ROW ${group} ${row.epoch}: ${row.members.map(({ server }) => server).join(" ")} by ${row.synchronising}, ${why}`);
  }

  #commit(): void {
    this.#sequence++;
    for (const view of this.#views) this.#carry(view, 0);
  }

  /** One thing on its way to a view at a time: what is committed meanwhile comes with the next, so the order holds. */
  #carry(view: MovesView, moreMs: number): void {
    if (view.expects) return;
    view.expects = true;
    const upTo = this.#sequence;
    view.life.plan(this.world.nowMs + moreMs + this.wayMs(), "input", () => {
      view.expects = false;
      const deafMs = view.deafUntilMs - this.world.nowMs;
      if (deafMs > 0) {
        this.#carry(view, deafMs);
        return;
      }
      view.show(upTo);
      if (upTo < this.#sequence) this.#carry(view, 0);
    });
  }
}

function refused(why: string): MusterError {
  return new MusterError("roll/condition-failed", why, { next: "read the row again" });
}

function groupText(row: GroupRow | undefined): string {
  return row === undefined ? "" : JSON.stringify(groupRowValue(row));
}

function mapText(row: PartitionRow | undefined): string {
  return row === undefined ? "" : JSON.stringify(partitionRowValue(row));
}

/** One node's replica. */
export class MovesView {
  readonly life: SimLife;
  readonly #roll: MovesRoll;
  #position: number;
  #loaded = false;
  readonly #observers = new Map<string, Set<() => void>>();
  readonly #waiting = new Set<{ readonly sequence: number; readonly shown: () => void }>();
  expects = false;
  deafUntilMs = 0;

  constructor(roll: MovesRoll, life: SimLife, position: number) {
    this.#roll = roll;
    this.life = life;
    this.#position = position;
  }

  row(group: string): GroupRow | undefined {
    return this.#loaded ? this.#roll.rowAt(group, this.#position) : undefined;
  }

  map(): PartitionRow | undefined {
    return this.#loaded ? this.#roll.mapAt(this.#position) : undefined;
  }

  lease(lease: string, revision: string): "live" | "ended" | "unknown" {
    const since = parseRevision(revision)?.sequence ?? 0;
    if (!this.#loaded) return "unknown";
    return this.#roll.leaseAt(lease, this.#position) ?? (since <= this.#position ? "ended" : "unknown");
  }

  observe(what: string, changed: () => void): () => void {
    const set = this.#observers.get(what) ?? new Set();
    this.#observers.set(what, set);
    set.add(changed);
    return () => set.delete(changed);
  }

  changeGroup(group: string, from: GroupRow | undefined, next: GroupRow): Promise<void> {
    return this.#ask(() => this.#roll.setGroup(group, from, next));
  }

  changeMap(from: PartitionRow | undefined, next: PartitionRow): Promise<void> {
    return this.#ask(() => this.#roll.setMap(from, next));
  }

  /** What is asked for, or the answer to it, may be lost; and it may happen late. */
  #ask(set: () => MusterError | undefined): Promise<void> {
    const { world } = this.life;
    const roll = this.#roll;
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (act: () => void) => {
        if (isSettled || !this.life.alive) return;
        isSettled = true;
        this.life.plan(world.nowMs, "input", act);
      };
      const unknown = () =>
        reject(new MusterError("roll/unknown", "nobody heard what became of the change", { effect: "maybe", next: "read the row" }));
      world.after(300 + 300 * roll.luck(), () => settle(unknown));
      const luck = roll.luck();
      if (luck < 0.03) return;
      const late = luck < 0.03 + roll.lateShare ? 600 * roll.luck() : 0;
      world.after(roll.wayMs() + late, () => {
        const refusal = set();
        const { sequence } = roll;
        if (luck > 0.95) return;
        if (refusal !== undefined) world.after(roll.wayMs(), () => settle(() => reject(refusal)));
        else if (this.#position >= sequence) settle(resolve);
        else this.#waiting.add({ sequence, shown: () => settle(resolve) });
      });
    });
  }

  show(position: number): void {
    const isFirst = !this.#loaded;
    const before = new Map([...this.#observers.keys()].map((what) => [what, this.#see(what)]));
    this.#loaded = true;
    this.#position = Math.max(this.#position, position);
    for (const [what, observers] of this.#observers)
      if (what === "leases" || isFirst || this.#see(what) !== before.get(what)) for (const changed of [...observers]) changed();
    for (const one of [...this.#waiting])
      if (one.sequence <= this.#position) {
        this.#waiting.delete(one);
        one.shown();
      }
  }

  #see(what: string): GroupRow | PartitionRow | undefined {
    return what === mapKey ? this.map() : this.row(what);
  }
}
