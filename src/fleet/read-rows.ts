import type { JsonValue } from "../kernel/index.ts";
import { type Replica, parseText } from "../tables/index.ts";

/** Rows of one table as a replica has them, in their own form; each text is read once. */
export class ReadRows<Row> {
  readonly #replica: Replica;
  readonly #table: number;
  readonly #parse: (value: JsonValue) => Row | undefined;
  readonly #read = new Map<string, { readonly text: string; readonly row: Row | undefined }>();

  /** `parse` gives undefined for a row that nobody can read. */
  constructor(replica: Replica, table: number, parse: (value: JsonValue) => Row | undefined) {
    this.#replica = replica;
    this.#table = table;
    this.#parse = parse;
  }

  of(key: string): Row | undefined {
    const stored = this.#replica.row(this.#table, key);
    if (stored === undefined) {
      this.#read.delete(key);
      return undefined;
    }
    const known = this.#read.get(key);
    if (known !== undefined && known.text === stored.text) return known.row;
    const row = this.#parse(parseText(stored.text));
    this.#read.set(key, { text: stored.text, row });
    return row;
  }
}
