import type { ServerCalls } from "./http-client.ts";
import type { Fleet } from "./muster.ts";

/**
 * Gives up the calls to a server at the moment that the roll says it is gone, so that a hung one is left without waiting
 * for a timeout. A server that takes itself off the roll (its entry is deleted) finishes what it has begun.
 */
export function abandonLostServers(fleet: Fleet, calls: ServerCalls, tables: readonly string[]): { cancel(): void } {
  return fleet.subscribe({ tables }, ({ event, table, entry }) => {
    if (event === "Add" && entry !== undefined && !entry.valid) calls.abandon(entry.key);
    // Some events were dropped: the tables say who is gone.
    if (event === "Subscribe") for (const row of fleet.search(table)) if (!row.valid) calls.abandon(row.key);
  });
}
