import type { SlotClaim } from "../groups/index.ts";
import { type GroupRow, type Replica, groupKey, instanceOfServer } from "../tables/index.ts";
import { Partitions } from "./group-partition.ts";
import { GroupRows } from "./group-roll.ts";
import type { GroupWrite } from "./group-write.ts";

/** Whom a write goes to now, and what is said of its slot there. */
export interface GroupPlace {
  readonly row: GroupRow;
  readonly claim: SlotClaim | undefined;
}

/** Where writes go, by the roll as it is here: to the group that was named, or to the one that has their slot. */
export class GroupPlaces {
  readonly rows: GroupRows;
  readonly #maps: Partitions;

  constructor(replica: Replica) {
    this.rows = new GroupRows(replica);
    this.#maps = new Partitions(replica);
  }

  /** Undefined: nobody has it, or the map here is older than what a group has said. */
  of(write: GroupWrite): GroupPlace | undefined {
    const { slot, within } = write.scope;
    let claim: SlotClaim | undefined;
    if (slot !== undefined) {
      const place = this.#maps.place({ partition: within, table: write.table }, slot, write.revisionMin);
      if (place === undefined) return undefined;
      write.group = place.group;
      claim = { slot, revision: place.revision };
    }
    const row = this.rows.of(write.group);
    return row === undefined ? undefined : { row, claim };
  }
}

/** The positions that an answer names are those of the group that gave it. */
export function groupOfServer({ scope, table, group }: GroupWrite, server: string): string {
  const instance = scope.slot === undefined ? undefined : instanceOfServer(server);
  return (instance === undefined ? undefined : groupKey(table, instance)) ?? group;
}
