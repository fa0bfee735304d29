import type { TableDefinition } from "./definition.ts";
import { builtInTables, parseTableDefinition, tableNumbers, userTableNumberMin } from "./definition.ts";
import type { EventLog } from "./event-log.ts";
import { HostIndex } from "./host-rows.ts";
import { Row } from "./row.ts";
import { TableRows } from "./table-rows.ts";
import { parseText } from "./value.ts";

const ownersMax = 65_536;

/** What followed from the rows that a change touched. */
export interface Settled {
  /** The set of tables, or what a table is, may have changed. */
  readonly redefined: boolean;
  /** Hosts whose rows changed their derived validity. */
  readonly hosts: readonly string[];
  /** Tables that had rows before they had a name. */
  readonly named: readonly TableRows[];
}

interface ReadDefinition {
  readonly text: string;
  readonly definition: TableDefinition | undefined;
}

const nothingSettled: Settled = Object.freeze({ redefined: false, hosts: [], named: [] });

/**
 * All rows of a replica, and what follows from them: the set of tables follows the rows of `tables`, the validity of server
 * rows follows the rows of `hosts`. What follows is settled once a change, after all of its effects.
 */
export class RowStore {
  readonly hosts = new HostIndex();
  readonly #events: EventLog;
  readonly #tables = new Map<number, TableRows>();
  /** By plain name and by symbol: the translation table. */
  readonly #byName = new Map<string, TableRows>();
  readonly #owners = new Map<string, string>();
  /** What the rows of `tables` were read as, so that a row is read again only when it has changed. */
  #definitions = new Map<string, ReadDefinition>();
  #lastOwner = "";
  #size = 0;
  #redefined = false;
  #touchedHosts: string[] = [];

  constructor(events: EventLog) {
    this.#events = events;
    this.#define();
  }

  get size(): number {
    return this.#size;
  }

  named(nameOrSymbol: string): TableRows | undefined {
    return this.#byName.get(nameOrSymbol);
  }

  numbered(number: number): TableRows | undefined {
    return this.#tables.get(number);
  }

  tables(): IterableIterator<TableRows> {
    return this.#tables.values();
  }

  /** The table's rows; a number that has no definition yet gets a place, because a change may fill a table before it names it. */
  tableOf(number: number): TableRows {
    const known = this.#tables.get(number);
    if (known !== undefined) return known;
    const table = new TableRows(number, this.hosts);
    this.#tables.set(number, table);
    return table;
  }

  put(number: number, key: string, text: string, flag: boolean, owner: string, incarnation: number, epoch: number, sequence: number): void {
    const table = this.tableOf(number);
    if (table.subscribers.length > 0) this.#events.touch(table, key, table.row(key), true);
    this.write(number, key, text, flag, owner, incarnation, epoch, sequence);
    if (number <= tableNumbers.hosts) this.#touched(number, key);
  }

  /** As `put`, of a row from which nothing follows, and without a word to subscribers. */
  write(
    number: number,
    key: string,
    text: string,
    flag: boolean,
    owner: string,
    incarnation: number,
    epoch: number,
    sequence: number,
  ): Row {
    const table = this.tableOf(number);
    let row = table.row(key);
    if (row === undefined) {
      row = new Row(table, key, text, flag, epoch, sequence, this.#intern(owner), incarnation);
      table.insert(row);
      this.#size++;
    } else this.#overwrite(row, text, flag, owner, incarnation, epoch, sequence);
    return row;
  }

  /** A row that a load has built: takes it over, or makes the present row equal to it. True when something differed. */
  adopt(row: Row): boolean {
    const { key, text, flag, owner, incarnation, epoch, sequence } = row;
    const table = this.tableOf(row.table.number);
    const present = table.row(key);
    if (present === undefined) {
      this.#events.touch(table, key, undefined, true);
      // The table may have been removed and defined anew while the load was under way.
      table.insert(row.table === table ? row : new Row(table, key, text, flag, epoch, sequence, owner, incarnation));
      this.#size++;
    } else {
      if (isSame(present, row)) return false;
      this.#events.touch(table, key, present, true);
      this.#overwrite(present, text, flag, owner, incarnation, epoch, sequence);
    }
    if (table.number <= tableNumbers.hosts) this.#touched(table.number, key);
    return true;
  }

  /** A new row that is not in the store yet. */
  build(
    number: number,
    key: string,
    text: string,
    flag: boolean,
    owner: string,
    incarnation: number,
    epoch: number,
    sequence: number,
  ): Row {
    return new Row(this.tableOf(number), key, text, flag, epoch, sequence, this.#intern(owner), incarnation);
  }

  setValid(number: number, key: string, flag: boolean, epoch: number, sequence: number): void {
    const row = this.#tables.get(number)?.row(key);
    if (row === undefined) return;
    this.#events.touch(row.table, key, row, true);
    row.flag = flag;
    row.epoch = epoch;
    row.sequence = sequence;
    row.view = undefined;
    if (number <= tableNumbers.hosts) this.#touched(number, key);
  }

  remove(number: number, key: string): void {
    const row = this.#tables.get(number)?.row(key);
    if (row !== undefined) this.removeRow(row);
  }

  removeRow(row: Row): void {
    const { table, key } = row;
    this.#events.touch(table, key, row, true);
    table.remove(row);
    this.#size--;
    if (table.number <= tableNumbers.hosts) this.#touched(table.number, key);
  }

  /** Derives the set of tables and the validity of server rows from what was touched since the last call. */
  settle(): Settled {
    if (!this.#redefined && this.#touchedHosts.length === 0) return nothingSettled;
    const redefined = this.#redefined;
    this.#redefined = false;
    const named = redefined ? this.#define() : [];
    const touched = this.#touchedHosts;
    this.#touchedHosts = [];
    const hosts: string[] = [];
    for (const name of touched) {
      const host = this.hosts.setAlive(name, this.#tables.get(tableNumbers.hosts)?.row(name)?.flag ?? true);
      if (host === undefined) continue;
      hosts.push(name);
      for (const row of host.rows()) this.#events.derived(row);
    }
    return { redefined, hosts, named };
  }

  #overwrite(row: Row, text: string, flag: boolean, owner: string, incarnation: number, epoch: number, sequence: number): void {
    row.flag = flag;
    row.epoch = epoch;
    row.sequence = sequence;
    if (row.owner !== owner) row.owner = this.#intern(owner);
    row.incarnation = incarnation;
    row.view = undefined;
    if (row.text === text) return;
    row.text = text;
    row.table.replaced(row);
  }

  #touched(number: number, key: string): void {
    if (number === tableNumbers.tables) this.#redefined = true;
    else this.#touchedHosts.push(key);
  }

  /** Thousands of rows share few owners: one text each instead of one a row. */
  #intern(owner: string): string {
    if (owner === "" || owner === this.#lastOwner) return owner === "" ? "" : this.#lastOwner;
    if (this.#owners.size >= ownersMax) this.#owners.clear();
    const known = this.#owners.get(owner);
    if (known === undefined) this.#owners.set(owner, owner);
    this.#lastOwner = known ?? owner;
    return this.#lastOwner;
  }

  /**
   * Makes the set of tables what the built-in definitions and the rows of `tables` say. A table that is gone loses its rows.
   * Returns the tables that had rows before they were defined.
   */
  #define(): readonly TableRows[] {
    const definitions = new Map<number, TableDefinition>();
    for (const definition of builtInTables) definitions.set(definition.number, definition);
    const read = new Map<string, ReadDefinition>();
    for (const { key, text } of this.#tables.get(tableNumbers.tables)?.rows() ?? []) {
      const known = this.#definitions.get(key);
      const { definition } = known?.text === text ? known : { definition: definitionOf(key, text) };
      read.set(key, { text, definition });
      if (definition !== undefined) definitions.set(definition.number, definition);
    }
    this.#definitions = read;
    for (const table of this.#tables.values()) {
      if (table.number < userTableNumberMin || definitions.has(table.number) || table.definition === undefined) continue;
      for (const row of table.collect("")) this.removeRow(row);
      this.#tables.delete(table.number);
    }
    this.#byName.clear();
    const named: TableRows[] = [];
    for (const definition of definitions.values()) {
      const table = this.tableOf(definition.number);
      if (table.definition === undefined && table.size > 0) named.push(table);
      if (table.definition !== definition) table.define(definition);
      this.#byName.set(definition.name, table);
      if (definition.symbol !== undefined) this.#byName.set(definition.symbol, table);
    }
    return named;
  }
}

function isSame(a: Row, b: Row): boolean {
  return (
    a.epoch === b.epoch &&
    a.sequence === b.sequence &&
    a.flag === b.flag &&
    a.incarnation === b.incarnation &&
    a.owner === b.owner &&
    a.text === b.text
  );
}

/** A row that this version cannot read (a newer fleet, a damaged store) defines nothing; the directory refuses to write such rows. */
function definitionOf(name: string, text: string): TableDefinition | undefined {
  try {
    return parseTableDefinition(name, parseText(text));
  } catch {
    return undefined;
  }
}
