import { type Replica, hostOfText, parseTableDefinition, parseText, tableNumbers } from "../tables/index.ts";
import type { Draft } from "./draft.ts";
import type { RuleTable, RuleView } from "./rule-view.ts";

export interface DecidedGroundPorts {
  readonly draft: Draft;
  readonly replica: Replica;
  readonly sessionLives: (session: number) => boolean;
}

type NamedTable = RuleTable & { readonly symbol?: string };

/**
 * What the directory's rules stand on: the committed rows with everything that has been decided on top of them, also by the
 * change at hand. The replica alone is always a little behind.
 */
export class DecidedGround implements RuleView {
  readonly draft: Draft;
  readonly #ports: DecidedGroundPorts;

  constructor(ports: DecidedGroundPorts) {
    this.draft = ports.draft;
    this.#ports = ports;
  }

  /** A name goes before a symbol. */
  table(nameOrSymbol: string): NamedTable | undefined {
    const named = this.#tableNamed(nameOrSymbol);
    if (named !== undefined) return named;
    const committed = this.#ports.replica.table(nameOrSymbol);
    const now = committed === undefined ? undefined : this.#tableNamed(committed.name);
    if (now?.symbol === nameOrSymbol) return now;
    for (const { table, key } of this.draft.uncommitted()) {
      const known = table === tableNumbers.tables ? this.#tableNamed(key) : undefined;
      if (known?.symbol === nameOrSymbol) return known;
    }
    return undefined;
  }

  #tableNamed(name: string): NamedTable | undefined {
    const row = this.draft.row(tableNumbers.tables, name);
    if (row === undefined) return undefined;
    const { replica } = this.#ports;
    if (replica.row(tableNumbers.tables, name)?.sequence === row.sequence) return replica.table(name);
    return parseTableDefinition(name, parseText(row.text));
  }

  tableName(number: number): string | undefined {
    const committed = this.#ports.replica.tableByNumber(number)?.name;
    if (committed !== undefined && this.draft.row(tableNumbers.tables, committed) !== undefined) return committed;
    for (const { table, key } of this.draft.uncommitted())
      if (table === tableNumbers.tables && this.#tableNamed(key)?.number === number) return key;
    return undefined;
  }

  sessionLives(session: number): boolean {
    return this.#ports.sessionLives(session);
  }

  knowsHost(host: string): boolean {
    if (this.draft.row(tableNumbers.hosts, host) !== undefined) return true;
    for (let number = 0; number < 8; number++) if (this.draft.row(tableNumbers.hostRoute, `${host}.${number}`) !== undefined) return true;
    return this.#ports.replica.search("host-route", `${host}.`).length > 0;
  }

  /** Entries whose route names the host. */
  *placesOn(host: string): Generator<{ readonly table: number; readonly key: string }, void, undefined> {
    const { replica } = this.#ports;
    for (const { table, row } of replica.rowsOnHost(host)) {
      const decided = this.draft.row(table, row.key);
      if (decided !== undefined && hostOfText(decided.text) === host) yield { table, key: row.key };
    }
    for (const { table, key, row } of this.draft.uncommitted()) {
      const committed = replica.row(table, key);
      if (hostOfText(row.text) === host && (committed === undefined || hostOfText(committed.text) !== host)) yield { table, key };
    }
  }

  get tableNumberMax(): number {
    let max = 0;
    for (const { key, table, row } of this.draft.uncommitted())
      if (table === tableNumbers.tables) max = Math.max(max, parseTableDefinition(key, parseText(row.text)).number);
    for (const { name } of this.#ports.replica.tables()) max = Math.max(max, this.#ports.replica.table(name)?.number ?? 0);
    return max;
  }

  tableIsEmpty(table: number): boolean {
    for (const decided of this.draft.uncommitted()) if (decided.table === table) return false;
    for (const row of this.#ports.replica.entries(table)) if (this.draft.row(table, row.key) !== undefined) return false;
    return true;
  }
}
