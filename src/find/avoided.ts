import { type Replica, isAvoided, parseState, parseText, stateKey, tableNumbers } from "../tables/index.ts";

/**
 * Whether what is known of an entry (a server, or its host as "hosts") says that lookups pass over it while others are left.
 * Most fleets have no states most of the time, and then nothing is put together or looked up.
 */
export function isEntryAvoided(replica: Replica, table: string, key: string): boolean {
  if (replica.entryCount(tableNumbers.states) === 0) return false;
  const place = stateKey(table, key);
  const row = place === undefined ? undefined : replica.row(tableNumbers.states, place);
  if (row === undefined || !row.flag) return false;
  try {
    return isAvoided(parseState(parseText(row.text)).state);
  } catch {
    // Anybody may write to the table. What nobody can read says nothing.
    return false;
  }
}
