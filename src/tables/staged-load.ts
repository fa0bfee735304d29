import { MusterError } from "../kernel/index.ts";
import { quote } from "./key.ts";
import { Row } from "./row.ts";
import type { RowStore } from "./row-store.ts";

/** What a load is about: the rows of one table, or of all, whose keys begin with `prefix`. */
export interface Range {
  readonly table: number | "all";
  readonly prefix: string;
}

/** A row that is right as it is, or one that is gone. */
class Mention {
  readonly kind: "keep" | "remove";
  readonly table: number;
  readonly key: string;

  constructor(kind: "keep" | "remove", table: number, key: string) {
    this.kind = kind;
    this.table = table;
    this.key = key;
  }
}

/** What applying a load touched, for the replica's observers. */
export interface LoadOutcome {
  /** Tables and keys that differed, in order; undefined when there were more than `toldMax`. */
  readonly touched: readonly { readonly table: number; readonly key: string }[] | undefined;
}

const toldMax = 1000;

/**
 * A snapshot of some ranges on its way in, applied as a *difference*: nothing shows before `finish`, which replaces the rows that
 * differ, removes those of the ranges that were not mentioned, and leaves the others alone, in one step. Rows of
 * the load may come in any order; in key order it is fastest. A later word about a key replaces an earlier one.
 */
export class StagedLoad {
  readonly ranges: readonly Range[];
  readonly #store: RowStore;
  readonly #commit: (load: StagedLoad, epoch: number, sequence: number) => void;
  readonly #left: () => void;
  #items: (Row | Mention)[] = [];
  #closed = false;

  constructor(
    ranges: readonly Range[],
    store: RowStore,
    commit: (load: StagedLoad, epoch: number, sequence: number) => void,
    left: () => void,
  ) {
    this.ranges = ranges;
    this.#store = store;
    this.#commit = commit;
    this.#left = left;
  }

  /** What has been staged so far. */
  get size(): number {
    return this.#items.length;
  }

  /** A row as it is at its revision. */
  put(table: number, key: string, text: string, valid: boolean, owner: string, incarnation: number, epoch: number, sequence: number): void {
    this.#open();
    this.#items.push(this.#store.build(table, key, text, valid, owner, incarnation, epoch, sequence));
  }

  /** The row that the replica has is right. Throws `tables/nothing-to-keep` when it has none: the load is not for this replica. */
  keep(table: number, key: string): void {
    this.#open();
    if (this.#store.numbered(table)?.row(key) === undefined)
      throw new MusterError("tables/nothing-to-keep", `the load keeps ${quote(key)} of table ${table}, which is not here`, {
        next: "ask for a whole load",
      });
    this.#items.push(new Mention("keep", table, key));
  }

  remove(table: number, key: string): void {
    this.#open();
    this.#items.push(new Mention("remove", table, key));
  }

  /** Applies everything in one step and moves the replica to this position. Throws `tables/position-backwards`, which changes nothing. */
  finish(epoch: number, sequence: number): void {
    this.#open();
    this.#commit(this, epoch, sequence);
    this.abandon();
  }

  /** Drops what was staged. Idempotent, harmless after `finish`. */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#items = [];
    this.#left();
  }

  /** Called by the replica within `finish`; `mark` is unlike that of any load before. */
  apply(mark: number): LoadOutcome {
    const store = this.#store;
    const wasEmpty = store.size === 0;
    const touched: { table: number; key: string }[] = [];
    const tell = (table: number, key: string) => {
      if (touched.length <= toldMax) touched.push({ table, key });
    };
    for (const item of this.#items) {
      if (item instanceof Row) {
        if (store.adopt(item)) tell(item.table.number, item.key);
        const row = store.numbered(item.table.number)?.row(item.key);
        if (row !== undefined) row.mark = mark;
        continue;
      }
      const row = store.numbered(item.table)?.row(item.key);
      if (row === undefined) continue;
      if (item.kind === "keep") {
        row.mark = mark;
      } else {
        tell(item.table, item.key);
        store.removeRow(row);
      }
    }
    if (!wasEmpty)
      for (const range of this.ranges)
        for (const table of range.table === "all" ? [...store.tables()] : [store.numbered(range.table)])
          for (const row of table?.collect(range.prefix) ?? [])
            if (row.mark !== mark) {
              tell(row.table.number, row.key);
              store.removeRow(row);
            }
    return { touched: touched.length > toldMax ? undefined : touched };
  }

  #open(): void {
    if (this.#closed) throw new MusterError("tables/load-closed", "this load has been finished or abandoned", { next: "begin a new load" });
  }
}
