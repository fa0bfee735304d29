import type { JsonValue } from "../kernel/index.ts";
import { type GroupRow, groupKey, groupsTable, readGroupRow } from "./group-row.ts";
import { membersOf } from "./value.ts";

/** What is needed to derive a primary, by table names. `Replica` is one. */
export interface PrimaryLookup {
  get(table: string, key: string): { readonly value: JsonValue; readonly valid: boolean } | undefined;
}

/** The ordering group of a service instance; undefined when its servers keep no state together. `table` is a plain name. */
export function groupOf(lookup: PrimaryLookup, table: string, instance: string): GroupRow | undefined {
  const key = groupKey(table, instance);
  const row = key === undefined ? undefined : lookup.get(groupsTable, key);
  return row === undefined ? undefined : readGroupRow(row.value);
}

/**
 * The primary of a service instance. Where an ordering group keeps the instance's state it is the group's synchronising server, if
 * that is valid, its host included, and else nobody: who holds no whole copy takes nothing over. Elsewhere it is the first
 * member, in the order of the row's `members`, that is valid. Undefined when none is, when the row itself is invalid, or when `key` names
 * no service instance. It is derived on every node from the same rows, so it moves with the very change that invalidates its predecessor.
 */
export function primaryOf(lookup: PrimaryLookup, table: string, key: string): string | undefined {
  const row = lookup.get(table, key);
  const members = row === undefined || !row.valid ? undefined : membersOf(row.value);
  if (members === undefined) return undefined;
  const isValid = (server: string) => lookup.get(table, server)?.valid === true;
  const group = groupOf(lookup, table, key);
  if (group === undefined) return members.find(isValid);
  return isValid(group.synchronising) ? group.synchronising : undefined;
}
