import { compareRevision, formatRevision, parseRevision } from "../kernel/index.ts";
import type { GroupRoll } from "../groups/index.ts";
import type { RollNode } from "../roll/index.ts";
import { type GroupRow, type Replica, groupRowValue, groupsTable, readGroupRow, tableNumbers } from "../tables/index.ts";
import { rowChanged } from "./group-errors.ts";
import { ReadRows } from "./read-rows.ts";

/** Where leases of programs are kept; a row lives as long as its program. */
export const leasesTable = "leases";

/**
 * How a lease is called in the groups: the row's key and the revision at which it was first there. So whoever hears the name knows
 * from when on a missing row means that the lease has ended.
 */
export function leaseName(key: string, revision: string): string {
  return `${key}@${revision}`;
}

/** The revision in a lease's name; one that nobody reaches when the name holds none. */
export function revisionOfLease(lease: string): string {
  return lease.slice(lease.lastIndexOf("@") + 1);
}

/** Rows of groups as one replica has them. */
export class GroupRows extends ReadRows<GroupRow> {
  constructor(replica: Replica) {
    super(replica, tableNumbers.groups, readGroupRow);
  }
}

/** One group's row and the leases of all callers, as a node's replica shows them, for a member of that group. */
export class RollOfGroup implements GroupRoll {
  readonly #node: RollNode;
  readonly #rows: GroupRows;
  readonly #key: string;

  constructor(node: RollNode, key: string) {
    this.#node = node;
    this.#rows = new GroupRows(node.replica);
    this.#key = key;
  }

  row(): GroupRow | undefined {
    return this.#rows.of(this.#key);
  }

  async change(from: GroupRow | undefined, next: GroupRow): Promise<void> {
    const stored = this.#node.replica.row(tableNumbers.groups, this.#key);
    const now = this.row();
    if (JSON.stringify(now) !== JSON.stringify(from)) throw rowChanged(this.#key);
    const revision = stored === undefined ? "absent" : formatRevision(stored);
    await this.#node.change(
      [{ op: "add", table: groupsTable, key: this.#key, value: groupRowValue(next), valid: true }],
      [{ table: groupsTable, key: this.#key, revision }],
    );
  }

  observe(changed: () => void): () => void {
    return this.#observe(changed, (table, key) => table === tableNumbers.groups && key === this.#key);
  }

  lease(lease: string, revision: string): "live" | "ended" | "unknown" {
    const given = parseRevision(revision);
    const { replica, position } = this.#node;
    if (given === undefined || compareRevision(position, given) < 0) return "unknown";
    return replica.isValid(tableNumbers.leases, lease.slice(0, lease.lastIndexOf("@"))) ? "live" : "ended";
  }

  observeLeases(changed: () => void): () => void {
    return this.#observe(changed, (table) => table === tableNumbers.leases);
  }

  /** Called at the end of the turn: then everybody who derives something from the rows has been told. */
  #observe(changed: () => void, isMeant: (table: number, key: string) => boolean): () => void {
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
        if (isMeant(table, key)) soon();
      },
      host: () => {},
      reset: soon,
    });
    return () => {
      isOver = true;
      unobserve();
    };
  }
}
