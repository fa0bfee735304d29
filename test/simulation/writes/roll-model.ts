import type { MusterError, Random } from "../../../src/kernel/index.ts";
import { type GroupRow, groupRowValue, parseGroupRow, withoutMembers } from "../../../src/tables/index.ts";
import type { SimLife, SimWorld } from "../../../src/testing/index.ts";
import { type Fate, type RollDelays, RollOrder, RollView, type Version, refusal, rowText, versionAt } from "../ordering/roll-order.ts";

/** Whom the model asks and tells. */
export interface RollJudge {
  changed(row: GroupRow, why: string): void;
  /** Somebody asks for this row in the place of the present one. */
  asked(by: string, from: GroupRow | undefined, next: GroupRow): Fate | undefined;
  isSafe(row: GroupRow): boolean;
}

/** The roll as one group sees it: one row that changes by compare-and-set. */
export class GroupRoll extends RollOrder<GroupView> {
  /** Ascending by sequence. */
  readonly rows: Version<GroupRow>[] = [];
  readonly #judge: RollJudge;
  /** Rows that were asked for in the place of the present one, and that may come yet as far as who asked can know. */
  readonly #possible = new Set<GroupRow>();

  constructor(world: SimWorld, random: Random, delays: RollDelays, judge: RollJudge) {
    super(world, random, delays);
    this.#judge = judge;
  }

  /** The row, and those that may take its place. */
  *rowsThatCount(): Iterable<GroupRow> {
    const { row } = this;
    if (row !== undefined) yield row;
    yield* this.#possible;
  }

  get row(): GroupRow | undefined {
    return this.rows.at(-1)?.row;
  }

  rowAt(sequence: number): GroupRow | undefined {
    return versionAt(this.rows, sequence);
  }

  protected viewFrom(life: SimLife, position: number): GroupView {
    return new GroupView(this, life, position);
  }

  /** All of them in one change. */
  protected leave(servers: readonly string[]): void {
    const { row } = this;
    if (row === undefined || !row.members.some(({ server }) => servers.includes(server))) return;
    const next = withoutMembers(row, (server) => !this.isValid(server));
    if (next !== undefined) this.#put(next, `${servers.join(", ")} given up`);
  }

  /** At the directory. */
  compareAndSet(by: string, from: GroupRow | undefined, next: GroupRow): MusterError | undefined {
    const flaw = this.flawOf(this.row, from, next);
    if (flaw !== undefined) return flaw;
    // Somebody asks for that who does not know yet that a disk was lost: two faults at once, which no protocol survives.
    if (!this.#judge.isSafe(next)) return refusal("roll/condition-failed", "nobody would be left");
    this.#put(parseGroupRow(groupRowValue(next)), `asked for by ${by}`);
    return undefined;
  }

  /** Written by hand, or put back with an older roll: whatever it names. */
  force(row: GroupRow, why: string): void {
    this.#put(parseGroupRow(groupRowValue(row)), why);
  }

  /** A member asks for a change of the row. Called at once; returns what becomes of it. */
  ask(by: string, from: GroupRow | undefined, next: GroupRow): Fate | undefined {
    if (rowText(this.row) !== rowText(from)) return undefined;
    this.#possible.add(next);
    return this.#judge.asked(by, from, next);
  }

  /** Who asked knows for sure that it did not happen. */
  refusedFor(next: GroupRow): void {
    this.#possible.delete(next);
  }

  #put(row: GroupRow, why: string): void {
    this.commit();
    this.rows.push({ sequence: this.sequence, row });
    this.#possible.clear();
    this.#judge.changed(row, why);
  }
}

/** One node's replica of it: the port of the groups. */
export class GroupView extends RollView {
  readonly #roll: GroupRoll;

  constructor(roll: GroupRoll, life: SimLife, position: number) {
    super(roll, life, position);
    this.#roll = roll;
  }

  row(): GroupRow | undefined {
    return this.position === undefined ? undefined : this.#roll.rowAt(this.position);
  }

  protected see(): GroupRow | undefined {
    return this.row();
  }

  observe(changed: () => void): () => void {
    return this.watch("row", changed);
  }

  change(from: GroupRow | undefined, next: GroupRow): Promise<void> {
    const roll = this.#roll;
    const by = this.life.node.name;
    // Code that is gone asks for nothing.
    if (!this.life.alive) return new Promise(() => {});
    const fate = roll.ask(by, from, next);
    return this.ask({ happen: () => roll.compareAndSet(by, from, next), fate, refused: () => roll.refusedFor(next) });
  }
}
