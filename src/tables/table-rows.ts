import { AttributeIndex } from "./attribute-index.ts";
import { type TableDefinition, builtInTables } from "./definition.ts";
import type { EntryView } from "./entry.ts";
import type { HostIndex } from "./host-rows.ts";
import { type Row, removedMark } from "./row.ts";
import { SortedRows } from "./sorted-rows.ts";
import type { Subscriber } from "./subscriptions.ts";
import { type Where, matches } from "./where.ts";

/** More views than these are not kept for one answer: whoever reads a whole table would double the memory of the replica. */
const keptViewsMax = 1000;

/** The rows of one table, by key and in order. Knows nothing about changes and when they become visible. */
export class TableRows {
  readonly number: number;
  readonly #hosts: HostIndex;
  readonly #rows = new Map<string, Row>();
  readonly #sorted = new SortedRows();
  #definition: TableDefinition | undefined;
  #attributes: AttributeIndex | undefined;
  /** True when its rows may be server routes, whose validity depends on their host. */
  #holdsRoutes: boolean;
  /** Replaced as a whole, so that a dispatch may walk it while it changes. */
  subscribers: readonly Subscriber[] = [];

  constructor(number: number, hosts: HostIndex) {
    this.number = number;
    this.#hosts = hosts;
    this.#definition = builtInTables.find((table) => table.number === number);
    this.#holdsRoutes = mayHoldRoutes(this.#definition);
  }

  get definition(): TableDefinition | undefined {
    return this.#definition;
  }

  get name(): string {
    return this.#definition?.name ?? `#${this.number}`;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Takes a new definition; what was derived from the old one is derived again. */
  define(definition: TableDefinition | undefined): void {
    const nameBefore = this.name;
    const heldRoutes = this.#holdsRoutes;
    this.#definition = definition;
    this.#holdsRoutes = mayHoldRoutes(definition);
    this.#attributes = undefined;
    if (nameBefore === this.name && heldRoutes === this.#holdsRoutes) return;
    for (const row of this.#rows.values()) {
      row.view = undefined;
      if (this.#holdsRoutes) this.#hosts.place(row);
      else this.#hosts.displace(row);
    }
  }

  row(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  rows(): IterableIterator<Row> {
    return this.#rows.values();
  }

  /** Adds a row whose key is not there. */
  insert(row: Row): void {
    this.#rows.set(row.key, row);
    this.#sorted.insert(row);
    if (this.#holdsRoutes) this.#hosts.place(row);
    this.#attributes?.put(row);
  }

  /** The row's text is new. */
  replaced(row: Row): void {
    row.view = undefined;
    if (this.#holdsRoutes) this.#hosts.place(row);
    this.#attributes?.put(row);
  }

  remove(row: Row): void {
    row.mark = removedMark;
    this.#rows.delete(row.key);
    this.#sorted.remove(row);
    this.#hosts.displace(row);
    this.#attributes?.remove(row);
  }

  /** The rows whose keys begin with `prefix`, in order. */
  collect(prefix: string): Row[] {
    return this.#sorted.rows(prefix);
  }

  from(after: string): Generator<Row, void, undefined> {
    return this.#sorted.from(after);
  }

  search(prefix: string, where: Where | undefined): readonly EntryView[] {
    if (where === undefined) return this.#sorted.entries(prefix, keptViewsMax);
    const rows = this.#select(prefix, where);
    const entries = rows.map((row) => row.entry(rows.length <= keptViewsMax));
    return entries.filter((entry) => matches(entry.value, where));
  }

  /** A superset of the matches in key order, by the attribute index where that is smaller than the range of the prefix. */
  #select(prefix: string, where: Where): Row[] {
    const indexed = this.#definition?.index;
    if (indexed === undefined) return this.collect(prefix);
    this.#attributes ??= new AttributeIndex(indexed, this.#rows.values());
    const candidates = this.#attributes.candidates(where);
    if (candidates === undefined || candidates.size > this.#sorted.estimate(prefix)) return this.collect(prefix);
    const found: Row[] = [];
    for (const row of candidates) if (row.key.startsWith(prefix)) found.push(row);
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

function mayHoldRoutes(definition: TableDefinition | undefined): boolean {
  const kind = definition?.kind;
  return kind === "server" || kind === "plain" || kind === undefined;
}
