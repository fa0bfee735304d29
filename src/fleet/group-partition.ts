import { formatRevision } from "../kernel/index.ts";
import type { GroupPartition, SlotPart, SlotWanted } from "../groups/index.ts";
import type { RollNode } from "../roll/index.ts";
import {
  type PartitionRow,
  type Replica,
  groupKey,
  instanceOfServer,
  ownerOf,
  partitionRowValue,
  partitionsTable,
  readPartitionRow,
  tableNumbers,
  targetOfGroupKey,
} from "../tables/index.ts";
import { mapChanged } from "./group-errors.ts";
import { ReadRows } from "./read-rows.ts";

/** A service whose groups share its keys. */
export interface PartitionTarget {
  /** Key of the map's row. */
  readonly partition: string;
  readonly table: string;
  readonly service: string;
}

/** Where a slot is, by the map as it is here. */
export interface SlotPlace {
  readonly instance: string;
  /** Key of its group's row. */
  readonly group: string;
  readonly revision: number;
}

/** Maps as one replica has them. */
export class Partitions extends ReadRows<PartitionRow> {
  readonly #replica: Replica;

  constructor(replica: Replica) {
    super(replica, tableNumbers.partitions, readPartitionRow);
    this.#replica = replica;
  }

  /** Undefined: there is no map, or it is older than this revision of the slot. */
  place({ partition, table }: Pick<PartitionTarget, "partition" | "table">, slot: number, revisionMin: number): SlotPlace | undefined {
    const row = this.of(partition);
    const owner = row === undefined ? undefined : ownerOf(row, slot);
    if (owner === undefined || owner.revision < revisionMin) return undefined;
    const group = groupKey(table, owner.instance);
    return group === undefined ? undefined : { instance: owner.instance, group, revision: owner.revision };
  }

  /** The service with a map that a key names, or lies in: the service itself, an instance or a server of it. Undefined: none, or those of several tables. */
  target(key: string, table: string | undefined): PartitionTarget | undefined {
    if (this.#replica.entryCount(tableNumbers.partitions) === 0) return undefined;
    const found: PartitionTarget[] = [];
    for (const { key: partition } of this.#replica.entries(tableNumbers.partitions)) {
      const named = targetOfGroupKey(partition);
      if (named === undefined || (table !== undefined && named.table !== this.#replica.table(table)?.name)) continue;
      const { instance: service } = named;
      const above = instanceOfServer(key);
      const isMeant = key === service || above === service || (above !== undefined && instanceOfServer(above) === service);
      if (isMeant && this.of(partition) !== undefined) found.push({ partition, table: named.table, service });
    }
    return found.length === 1 ? found[0] : undefined;
  }
}

/** The map of a service, as a node's replica shows it, for a member of one of its groups. */
export class RollOfPartition implements GroupPartition {
  readonly instance: string;
  readonly #node: RollNode;
  readonly #maps: Partitions;
  readonly #key: string;
  readonly #fetch: (instance: string, wanted: SlotWanted) => Promise<SlotPart | undefined>;

  /** `fetch` asks a member of another group; it ends within a bounded time. */
  constructor(
    node: RollNode,
    partition: string,
    instance: string,
    fetch: (instance: string, wanted: SlotWanted) => Promise<SlotPart | undefined>,
  ) {
    this.#node = node;
    this.#maps = new Partitions(node.replica);
    this.#key = partition;
    this.instance = instance;
    this.#fetch = fetch;
  }

  map(): PartitionRow | undefined {
    return this.#maps.of(this.#key);
  }

  async change(from: PartitionRow, next: PartitionRow): Promise<void> {
    const stored = this.#node.replica.row(tableNumbers.partitions, this.#key);
    if (stored === undefined || JSON.stringify(this.map()) !== JSON.stringify(from)) throw mapChanged(this.#key);
    await this.#node.change(
      [{ op: "add", table: partitionsTable, key: this.#key, value: partitionRowValue(next), valid: true }],
      [{ table: partitionsTable, key: this.#key, revision: formatRevision(stored) }],
    );
  }

  /** Called at the end of the turn: then everybody who derives something from the rows has been told. */
  observe(changed: () => void): () => void {
    const { clock } = this.#node.ports;
    let isOver = false;
    let isDue = false;
    const soon = () => {
      if (isDue) return;
      isDue = true;
      clock.turn(() => {
        isDue = false;
        if (!isOver) changed();
      });
    };
    const unobserve = this.#node.replica.observe({
      touched: (table, key) => {
        if (table === tableNumbers.partitions && key === this.#key) soon();
      },
      host: () => {},
      reset: soon,
    });
    return () => {
      isOver = true;
      unobserve();
    };
  }

  fetch(instance: string, wanted: SlotWanted): Promise<SlotPart | undefined> {
    return this.#fetch(instance, wanted);
  }
}
