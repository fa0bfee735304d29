import type { JsonValue } from "../kernel/index.ts";
import { membersOf } from "./value.ts";

/** What is needed to derive a primary. `Replica` is one by table names. */
export interface PrimaryLookup<Table extends string | number = string> {
  get(table: Table, key: string): { readonly value: JsonValue; readonly valid: boolean } | undefined;
}

/**
 * The primary of a service instance: the first member, in the order of the row's `members`, that is valid, its host
 * included. Undefined when none is, when the row itself is invalid, or when `key` names no service instance. It is derived on
 * every node from the same rows, so it moves with the very change that invalidates its predecessor.
 */
export function primaryOf<Table extends string | number>(lookup: PrimaryLookup<Table>, table: Table, key: string): string | undefined {
  const row = lookup.get(table, key);
  return row === undefined || !row.valid ? undefined : membersOf(row.value)?.find((member) => lookup.get(table, member)?.valid === true);
}
