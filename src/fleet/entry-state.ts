import { type JsonValue, formatInstant } from "../kernel/index.ts";
import { type EntryState, isAvoided, parseState, stateKey, statesTable } from "../tables/index.ts";
import type { RequestOperation } from "../roll/index.ts";
import type { Entry } from "./fleet.ts";

/** Where states are read. */
export interface StateView {
  tables(): readonly { readonly name: string }[];
  get(table: string, key: string): Entry | undefined;
}

/** What is known of an entry besides its validity; undefined when nothing is, or nobody can read it. */
export function entryState(view: StateView, table: string, key: string): EntryState | undefined {
  const place = stateKey(table, key);
  const row = place === undefined || !view.tables().some(({ name }) => name === statesTable) ? undefined : view.get(statesTable, place);
  if (row === undefined) return undefined;
  try {
    return parseState(row.value);
  } catch {
    return undefined;
  }
}

/** The state as one sentence: what, since when, who says so, why, and whether lookups pass over it. */
export function sayState({ state, reason, by, sinceUnixMs }: EntryState): string {
  const since = formatInstant(sinceUnixMs);
  const avoided = isAvoided(state) ? "; lookups pass over it while others are left" : "";
  return `it is ${state} since ${since}, says ${by}: ${reason}${avoided}`;
}

/** The state in answers: `{ state, reason, by, since }`, or null. */
export function renderState(state: EntryState | undefined): JsonValue {
  return state === undefined ? null : { state: state.state, reason: state.reason, by: state.by, sinceUnixMs: state.sinceUnixMs };
}

/** What a program says of its own entry in the change that makes it invalid. */
export function endOf(table: string, key: string, { state, reason, by, sinceUnixMs }: EntryState): readonly RequestOperation[] {
  const place = stateKey(table, key);
  if (place === undefined) return [];
  const value = { state, reason: reason.slice(0, 500), by, sinceUnixMs };
  return [{ op: "add", table: statesTable, key: place, value, valid: true }];
}
