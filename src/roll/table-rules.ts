import { isRecord } from "../kernel/index.ts";
import { parseTableName, parseValue, tableNumbers, userTableNumberMin } from "../tables/index.ts";
import type { DraftRow } from "./draft.ts";
import { type Refusal, refusal } from "./errors.ts";
import { type RuleTable, type RuleView, erase } from "./rule-view.ts";

/** Host routes have numbers below this. */
const routesMax = 8;

/** Adds a table, or changes what may be changed of one. Throws what the parsers of its definition throw. */
export function addTable(view: RuleView, name: string, value: unknown, row: DraftRow | undefined): Refusal | undefined {
  parseTableName(name);
  if (!isRecord(value))
    return refusal("roll/bad-table", "a table is described by an object", 'write {} or { "symbol": …, "mapping": …, "index": […] }');
  const symbol = value["symbol"];
  const holder = typeof symbol === "string" ? view.table(symbol) : undefined;
  if (holder !== undefined && holder.name !== name) return taken(String(symbol));
  if (row === undefined) return newTable(view, name, value);
  const stored: unknown = JSON.parse(row.text);
  if (!isRecord(stored)) return refusal("roll/bad-table", `the row of the table "${name}" cannot be read`, "restore the directory's data");
  const { number, kind, numberMax } = stored;
  const { numberMax: _, ...wanted } = value;
  if (kind !== "partition" && value["mapping"] !== undefined)
    return refusal("roll/bad-table", `"${name}" does not map partitions`, "add another table with a mapping");
  // A table keeps its number and kind for life: rows refer to them.
  const merged = { ...stored, ...wanted, number, kind, ...(numberMax === undefined ? {} : { numberMax }) };
  view.draft.put(tableNumbers.tables, name, { text: parseValue("tables", name, merged), valid: true, owner: "", incarnation: 0 });
  return undefined;
}

function newTable(view: RuleView, name: string, value: Readonly<Record<string, unknown>>): Refusal | undefined {
  if (view.table(name) !== undefined) return taken(name);
  const number = nextNumber(view);
  const kind = value["mapping"] === undefined ? "plain" : "partition";
  const { numberMax: _, ...wanted } = value;
  const text = parseValue("tables", name, { ...wanted, number, kind });
  view.draft.put(tableNumbers.tables, name, { text, valid: true, owner: "", incarnation: 0 });
  return undefined;
}

function taken(name: string): Refusal {
  return refusal("roll/table-exists", `a table already answers to "${name}"`, "choose another name or symbol");
}

/** Numbers are given out once: a row of a table that is gone must never show in another one. The row of `tables` remembers. */
function nextNumber(view: RuleView): number {
  const own = view.draft.row(tableNumbers.tables, "tables");
  const stored: unknown = own === undefined ? undefined : JSON.parse(own.text);
  const given = isRecord(stored) && typeof stored["numberMax"] === "number" ? stored["numberMax"] : 0;
  const number = Math.max(given, view.tableNumberMax, userTableNumberMin - 1) + 1;
  if (own !== undefined && isRecord(stored)) {
    const text = parseValue("tables", "tables", { ...stored, numberMax: number });
    view.draft.put(tableNumbers.tables, "tables", { text, valid: true, owner: "", incarnation: 0 });
  }
  return number;
}

/** Built-in tables stay, and others as long as they have rows. */
export function tableStays(view: RuleView, name: string): Refusal | undefined {
  const target = view.table(name);
  if (target === undefined) return undefined;
  if (target.number < userTableNumberMin) return refusal("roll/built-in-table", `"${name}" is a built-in table`, "it stays");
  if (view.tableIsEmpty(target.number)) return undefined;
  return refusal("roll/table-not-empty", `the table "${name}" still has entries`, `delete them first: muster search ${name}`);
}

/** A host stays as long as an entry names it: without its row a dead host's servers would count as alive. */
export function hostStays(view: RuleView, host: string): Refusal | undefined {
  let entries = 0;
  for (const _ of view.placesOn(host)) entries++;
  if (entries === 0) return undefined;
  return refusal(
    "roll/host-not-empty",
    `${entries} entries lie on the host "${host}"`,
    `delete them first: see \`muster why ${host}\`, then muster delete TABLE KEY`,
  );
}

/** With a host go its routes. */
export function eraseRoutes(view: RuleView, routes: RuleTable, host: string): void {
  for (let number = 0; number < routesMax; number++) {
    const key = `${host}.${number}`;
    if (view.draft.row(routes.number, key) !== undefined) erase(view, routes, key);
  }
}
