import type { Replica } from "../tables/index.ts";
import { ambiguousService } from "./errors.ts";

/** Keys that are remembered before all are looked up anew. */
const keysMax = 10_000;

/** In which table a key names servers, for requests that do not say so. */
export class TableOfKey {
  readonly #replica: Replica;
  readonly #known = new Map<string, string>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  /** Undefined while no table names the key. Throws `requests/ambiguous-key` when several do. */
  of(key: string): string | undefined {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const tables = this.#replica.tables().filter(({ name }) => this.#names(name, key));
    if (tables.length > 1)
      throw ambiguousService(
        key,
        tables.map(({ name }) => name),
      );
    const name = tables[0]?.name;
    if (name === undefined) return undefined;
    if (this.#known.size >= keysMax) this.#known.clear();
    this.#known.set(key, name);
    return name;
  }

  /** Nothing was found under the key: it may have moved to another table. */
  reconsider(key: string): void {
    const known = this.#known.get(key);
    if (known !== undefined && !this.#names(known, key)) this.#known.delete(key);
  }

  /** The set of tables has changed. */
  forget(): void {
    this.#known.clear();
  }

  #names(name: string, key: string): boolean {
    const table = this.#replica.table(name);
    // What a program adds is a plain table; those of our own hold no servers.
    if (table === undefined || !(table.kind === "server" || (table.kind === "plain" && table.number >= 32))) return false;
    if (key === "" || key.endsWith(".")) return this.#replica.rowsBelow(table.number, key).length > 0;
    return this.#replica.row(table.number, key) !== undefined || this.#replica.rowsBelow(table.number, `${key}.`).length > 0;
  }
}
