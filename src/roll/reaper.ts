import type { Replica } from "../tables/index.ts";

/** Finds invalid bound entries whose owner has not come back for long. Counted in time that the directory was up. */
export class Reaper {
  readonly #replica: Replica;
  readonly #afterMs: number;
  #ages = new Map<string, number>();

  constructor(replica: Replica, afterMs: number) {
    this.#replica = replica;
    this.#afterMs = afterMs;
  }

  /** What is due now, when this is called every `everyMs`. An entry that was written since begins anew. */
  due(everyMs: number): readonly { readonly table: number; readonly key: string }[] {
    const ages = new Map<string, number>();
    const due: { table: number; key: string }[] = [];
    for (const table of this.#replica.tableNumbers())
      for (const row of this.#replica.entries(table)) {
        if (row.incarnation === 0 || row.flag) continue;
        const name = `${table}\u0000${row.key}\u0000${row.sequence}`;
        const ageMs = (this.#ages.get(name) ?? -everyMs) + everyMs;
        if (ageMs >= this.#afterMs) due.push({ table, key: row.key });
        else ages.set(name, ageMs);
      }
    this.#ages = ages;
    return due;
  }
}
