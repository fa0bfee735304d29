import type { MusterError, Random } from "../../../src/kernel/index.ts";
import {
  type GroupRow,
  type PartitionRow,
  flawOfPartition,
  groupRowValue,
  parseGroupRow,
  parsePartitionRow,
  partitionRowValue,
  withoutMembers,
} from "../../../src/tables/index.ts";
import type { SimLife, SimWorld } from "../../../src/testing/index.ts";
import { type RollDelays, RollOrder, RollView, type Version, refusal, versionAt } from "../ordering/roll-order.ts";

const mapKey = "map";

/** The service instance that a server belongs to. */
export function groupOf(server: string): string {
  return server.slice(0, server.lastIndexOf("."));
}

/** The roll as several groups of one service see it: a row for each, and the map of their slots, all in one order. */
export class MovesRoll extends RollOrder<MovesView> {
  readonly #rows = new Map<string, Version<GroupRow>[]>();
  readonly maps: Version<PartitionRow>[] = [];
  readonly #changed: (what: string) => void;

  constructor(world: SimWorld, random: Random, delays: RollDelays, changed: (what: string) => void) {
    super(world, random, delays);
    this.#changed = changed;
  }

  row(group: string): GroupRow | undefined {
    return this.#rows.get(group)?.at(-1)?.row;
  }

  get map(): PartitionRow | undefined {
    return this.maps.at(-1)?.row;
  }

  rowAt(group: string, sequence: number): GroupRow | undefined {
    return versionAt(this.#rows.get(group), sequence);
  }

  mapAt(sequence: number): PartitionRow | undefined {
    return versionAt(this.maps, sequence);
  }

  protected viewFrom(life: SimLife, position: number): MovesView {
    return new MovesView(this, life, position);
  }

  protected leave(servers: readonly string[]): void {
    for (const group of new Set(servers.map(groupOf))) {
      const row = this.row(group);
      const next = row === undefined ? undefined : withoutMembers(row, (one) => !this.isValid(one));
      if (next !== undefined) this.#put(group, next, `${servers.join(", ")} given up`);
    }
  }

  /** At the directory. */
  setGroup(group: string, from: GroupRow | undefined, next: GroupRow): MusterError | undefined {
    const flaw = this.flawOf(this.row(group), from, next);
    if (flaw === undefined) this.#put(group, parseGroupRow(groupRowValue(next)), "asked for");
    return flaw;
  }

  setMap(from: PartitionRow | undefined, next: PartitionRow): MusterError | undefined {
    const { map } = this;
    if (mapText(map) !== mapText(from)) return refusal("roll/condition-failed", "the map is another one by now");
    const flaw = flawOfPartition(map, next);
    if (flaw !== undefined) return refusal("roll/condition-failed", flaw);
    const row = parsePartitionRow(partitionRowValue(next));
    this.commit();
    this.maps.push({ sequence: this.sequence, row });
    this.#changed(
      `MAP ${row.revision}: ${row.runs.map((run) => `${run.first}-${run.last} ${run.instance}@${run.revision}`).join(", ")}; ${row.moves.map(({ slot, to }) => `${slot}>${to}`).join(", ")}`,
    );
    return undefined;
  }

  /** The whole roll was put back from a copy of earlier days, as far as the map goes. */
  restoreMap(row: PartitionRow): void {
    this.commit();
    this.maps.push({ sequence: this.sequence, row });
    this.#changed(`MAP restored: ${row.revision}`);
  }

  #put(group: string, row: GroupRow, why: string): void {
    this.commit();
    const rows = this.#rows.get(group) ?? [];
    this.#rows.set(group, rows);
    rows.push({ sequence: this.sequence, row });
    this.#changed(`ROW ${group} ${row.epoch}: ${row.members.map(({ server }) => server).join(" ")} by ${row.synchronising}, ${why}`);
  }
}

function mapText(row: PartitionRow | undefined): string {
  return row === undefined ? "" : JSON.stringify(partitionRowValue(row));
}

/** One node's replica of it: of the rows of all groups and of the map. */
export class MovesView extends RollView {
  readonly #roll: MovesRoll;

  constructor(roll: MovesRoll, life: SimLife, position: number) {
    super(roll, life, position);
    this.#roll = roll;
  }

  row(group: string): GroupRow | undefined {
    return this.position === undefined ? undefined : this.#roll.rowAt(group, this.position);
  }

  map(): PartitionRow | undefined {
    return this.position === undefined ? undefined : this.#roll.mapAt(this.position);
  }

  protected see(what: string): GroupRow | PartitionRow | undefined {
    return what === mapKey ? this.map() : this.row(what);
  }

  observeMap(changed: () => void): () => void {
    return this.watch(mapKey, changed);
  }

  observeGroup(group: string, changed: () => void): () => void {
    return this.watch(group, changed);
  }

  changeGroup(group: string, from: GroupRow | undefined, next: GroupRow): Promise<void> {
    return this.ask({ happen: () => this.#roll.setGroup(group, from, next) });
  }

  changeMap(from: PartitionRow | undefined, next: PartitionRow): Promise<void> {
    return this.ask({ happen: () => this.#roll.setMap(from, next) });
  }
}
