import { isRecord } from "../kernel/index.ts";
import { type EntryState, stateKey, tableNumbers } from "../tables/index.ts";
import type { Draft } from "./draft.ts";

/** What the directory itself says of hosts and routes; the states that others write are theirs. */
const ownStates: ReadonlySet<unknown> = new Set(["unwatched", "suspect", "gone"]);

/** The state in a row of `states`; undefined for one that nobody can read. */
function stateIn(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return isRecord(value) ? value["state"] : undefined;
}

/** Whether the state of the entry, if it has any, is one that the directory said. */
export function hasOwnState(draft: Draft, table: string, key: string): boolean {
  const place = stateKey(table, key);
  const row = place === undefined ? undefined : draft.row(tableNumbers.states, place);
  return row !== undefined && ownStates.has(stateIn(row.text));
}

/** Says the state of an entry. One that somebody else said stays: a host that is drained is drained also while it is away. */
export function putState(draft: Draft, table: string, key: string, state: EntryState): void {
  const place = stateKey(table, key);
  if (place === undefined) return;
  const row = draft.row(tableNumbers.states, place);
  if (row !== undefined && !ownStates.has(stateIn(row.text))) return;
  const { state: name, reason, by, sinceUnixMs } = state;
  const text = JSON.stringify({ state: name, reason: reason.slice(0, 500), by, sinceUnixMs });
  draft.put(tableNumbers.states, place, { text, valid: true, owner: "", incarnation: 0 });
}

/** Takes back what the directory said. */
export function clearState(draft: Draft, table: string, key: string): void {
  if (hasOwnState(draft, table, key)) dropState(draft, table, key);
}

/** The entry is gone, and with it whatever anybody said of it. */
export function dropState(draft: Draft, table: string, key: string): void {
  const place = stateKey(table, key);
  if (place !== undefined && draft.row(tableNumbers.states, place) !== undefined) draft.remove(tableNumbers.states, place);
}
