import { MusterError, type Revision, errorOf } from "../kernel/index.ts";
import {
  type TableKind,
  builtInTableRows,
  parseGroupRow,
  parseKey,
  parsePartitionRow,
  parseTableDefinition,
  parseText,
  parseValue,
  tableNumbers,
} from "../tables/index.ts";
import type { DraftRow } from "./draft.ts";

/** Everything that is wrong with a snapshot but its version is this one error; `cause` is what a parser said of a row. */
export function badSnapshot(what: string, cause?: unknown): MusterError {
  return new MusterError("roll/bad-snapshot", `this is no sound snapshot: ${what}`, {
    cause,
    next: "use another file; nothing was changed",
  });
}

function isBad(error: Error): boolean {
  return error instanceof MusterError && error.code === "roll/bad-snapshot";
}

/**
 * The border for rows from a file: each passes the parsers that a writer's row passes, so that a directory starts on nothing that it would
 * not have written. A sound checksum only says that the file is as somebody made it. Rows come in order of table and key; so the
 * definitions of tables come first.
 */
export class SnapshotRows {
  readonly #upTo: Revision;
  readonly #kinds = new Map<number, TableKind>();
  readonly #builtIn: ReadonlyMap<number, TableKind>;
  #lastTable = 0;
  #lastKey = "";

  /** `upTo`: the revision of the whole; no row is newer. */
  constructor(upTo: Revision) {
    this.#upTo = upTo;
    const builtIn = builtInTableRows().map(({ key, text }) => parseTableDefinition(key, parseText(text)));
    this.#builtIn = new Map(builtIn.map(({ number, kind }) => [number, kind]));
  }

  /** The row as a directory would have written it. Throws `roll/bad-snapshot`. */
  parse(table: number, key: string, row: DraftRow): DraftRow {
    const inOrder = table > this.#lastTable || (table === this.#lastTable && key > this.#lastKey);
    if (!inOrder) throw badSnapshot("its rows are not in order, or one is there twice");
    this.#lastTable = table;
    this.#lastKey = key;
    const { owner, incarnation, epoch, sequence } = row;
    if (epoch > this.#upTo.epoch || sequence > this.#upTo.sequence || incarnation > this.#upTo.sequence)
      throw badSnapshot("a row of it is newer than the whole");
    if (incarnation === 0 ? owner !== "" : !/\/\d{1,16}$/.test(owner)) throw badSnapshot("the owner of a row cannot be read");
    const kind = this.#kinds.get(table) ?? this.#builtIn.get(table);
    if (kind === undefined) throw badSnapshot(`a row belongs to table ${table}, which it does not define`);
    try {
      return { ...row, text: this.#parseValue(table, kind, parseKey(key), row.text) };
    } catch (thrown) {
      const cause = errorOf(thrown);
      throw isBad(cause) ? cause : badSnapshot(`no writer could have written a row of its table ${table}: ${cause.message}`, cause);
    }
  }

  #parseValue(table: number, kind: TableKind, key: string, text: string): string {
    const value = parseText(text);
    if (table === tableNumbers.tables) this.#define(key, value);
    if (table === tableNumbers.groups) parseGroupRow(value);
    if (table === tableNumbers.partitions) parsePartitionRow(value);
    return parseValue(kind, key, value);
  }

  #define(name: string, value: ReturnType<typeof parseText>): void {
    const { number, kind } = parseTableDefinition(name, value);
    if (this.#kinds.has(number)) throw badSnapshot(`two tables of it have the number ${number}`);
    if ((this.#builtIn.get(number) ?? kind) !== kind) throw badSnapshot(`the built-in table "${name}" is of another kind in it`);
    this.#kinds.set(number, kind);
  }
}
