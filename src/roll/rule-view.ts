import type { TableKind } from "../tables/index.ts";
import type { Draft } from "./draft.ts";
import { dropState } from "./entry-states.ts";

/** What the rules know of a table. */
export interface RuleTable {
  readonly number: number;
  readonly name: string;
  readonly kind: TableKind;
}

/** What the directory's rules look at: everything that has been decided so far. */
export interface RuleView {
  readonly draft: Draft;
  table(nameOrSymbol: string): (RuleTable & { readonly symbol?: string }) | undefined;
  tableName(number: number): string | undefined;
  /** Whether any `host-route` row or a `hosts` row names the host. */
  knowsHost(host: string): boolean;
  /** The highest number of any table. */
  readonly tableNumberMax: number;
  /** Entries whose route names the host. */
  placesOn(host: string): Iterable<{ readonly table: number; readonly key: string }>;
  tableIsEmpty(table: number): boolean;
  /** Whether the program of this session may still be there: a binding whose session has ended holds nobody off. */
  sessionLives(session: number): boolean;
}

/** With an entry goes what anybody said of it, in the same change. */
export function erase(view: RuleView, table: RuleTable, key: string): void {
  view.draft.remove(table.number, key);
  dropState(view.draft, table.name, key);
}
