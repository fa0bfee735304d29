import { type EntryState, stateKey, tableNumbers } from "../tables/index.ts";
import type { Draft } from "./draft.ts";
import { dropState, stateOfText, writeState } from "./entry-states.ts";

function read(draft: Draft, place: string): EntryState | undefined {
  const row = draft.row(tableNumbers.states, place);
  return row === undefined ? undefined : stateOfText(row.text);
}

/**
 * How a server ended, in the same change that says it is invalid. A server that somebody drains stays drained, also when it
 * comes back: the reason then tells both.
 */
export function putEnd(draft: Draft, table: string, key: string, end: EntryState): void {
  const place = stateKey(table, key);
  if (place === undefined) return;
  const known = read(draft, place);
  const drained = known?.state === "draining" ? { ...known, reason: `${known.reason}; ${end.state}: ${end.reason}` } : undefined;
  writeState(draft, place, drained ?? end);
}

/**
 * The entry is valid again: what was said of its end is over. `program`: whether another program holds it now, to which
 * nothing applies that was said of the one before.
 */
export function clearEnd(draft: Draft, table: string, key: string, program: "same" | "another"): void {
  const place = stateKey(table, key);
  if (place === undefined || draft.row(tableNumbers.states, place) === undefined) return;
  if (program === "same" && read(draft, place)?.state === "draining") return;
  dropState(draft, table, key);
}

/** A doubt is a question to the owner; it replaces nothing that is known. */
export function isIdleDoubt(draft: Draft, key: string, text: string): boolean {
  return stateOfText(text)?.state === "doubted" && read(draft, key) !== undefined;
}
