import type { Row } from "./row.ts";
import { parseText } from "./value.ts";
import { type Where, attributesOf, textsOf } from "./where.ts";

/**
 * Rows by the attributes that their table declares in `index`. Built when a `where` first asks for it, then kept: values
 * are parsed for it, which a replica that never selects by attributes need not pay.
 */
export class AttributeIndex {
  readonly #byAttribute = new Map<string, Map<string, Bucket>>();
  /** What each row is filed under, to take it out after its text has changed. */
  readonly #filed = new Map<Row, readonly Bucket[]>();

  constructor(attributes: readonly string[], rows: Iterable<Row>) {
    for (const name of attributes) this.#byAttribute.set(name, new Map());
    for (const row of rows) this.put(row);
  }

  /** Files the row by its present text, replacing what it was filed under. */
  put(row: Row): void {
    this.remove(row);
    const attributes = attributesOf(parseText(row.text));
    const filed: Bucket[] = [];
    for (const [name, byText] of this.#byAttribute)
      for (const text of textsOf(attributes, name)) {
        const bucket = byText.get(text) ?? { byText, text, rows: new Set() };
        byText.set(text, bucket);
        bucket.rows.add(row);
        filed.push(bucket);
      }
    this.#filed.set(row, filed);
  }

  remove(row: Row): void {
    for (const { byText, text, rows } of this.#filed.get(row) ?? []) {
      rows.delete(row);
      if (rows.size === 0) byText.delete(text);
    }
    this.#filed.delete(row);
  }

  /** The smallest set of rows that holds all matches; undefined when no attribute of `where` is indexed. */
  candidates(where: Where): ReadonlySet<Row> | undefined {
    let best: ReadonlySet<Row> | undefined;
    for (const [name, wanted] of Object.entries(where)) {
      const byText = this.#byAttribute.get(name);
      if (byText === undefined) continue;
      const rows = byText.get(String(wanted))?.rows ?? noRows;
      if (best === undefined || rows.size < best.size) best = rows;
    }
    return best;
  }
}

interface Bucket {
  readonly byText: Map<string, Bucket>;
  readonly text: string;
  readonly rows: Set<Row>;
}

const noRows: ReadonlySet<Row> = new Set();
