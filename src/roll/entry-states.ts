import { type EntryState, type StateName, parseState, parseText, stateKey, tableNumbers } from "../tables/index.ts";
import type { Draft } from "./draft.ts";

/** What the directory itself says of hosts and routes; the states that others write are theirs. */
const ownStates: ReadonlySet<StateName> = new Set<StateName>(["unwatched", "suspect", "gone"]);
const reasonCharactersMax = 500;

/** What a row of `states` says; undefined for one that nobody can read: it counts for nothing, and gives way to whatever is said. */
export function stateOfText(text: string): EntryState | undefined {
  try {
    return parseState(parseText(text));
  } catch {
    return undefined;
  }
}

/** A state as a row of `states` holds it. */
export function stateValue({ state, reason, by, sinceUnixMs }: EntryState) {
  return { state, reason: reason.slice(0, reasonCharactersMax), by, sinceUnixMs };
}

/** Writes what is known of the entry at `place`, whatever was said of it before. */
export function writeState(draft: Draft, place: string, state: EntryState): void {
  draft.put(tableNumbers.states, place, { text: JSON.stringify(stateValue(state)), valid: true, owner: "", incarnation: 0 });
}

/** Whether the state of the entry, if it has any, is one that the directory said. */
export function hasOwnState(draft: Draft, table: string, key: string): boolean {
  const place = stateKey(table, key);
  const row = place === undefined ? undefined : draft.row(tableNumbers.states, place);
  const known = row === undefined ? undefined : stateOfText(row.text);
  return known !== undefined && ownStates.has(known.state);
}

/** Says the state of an entry. One that somebody else said stays: a host that is drained is drained also while it is away. */
export function putState(draft: Draft, table: string, key: string, state: EntryState): void {
  const place = stateKey(table, key);
  if (place === undefined) return;
  const row = draft.row(tableNumbers.states, place);
  const known = row === undefined ? undefined : stateOfText(row.text);
  if (known === undefined || ownStates.has(known.state)) writeState(draft, place, state);
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
