import { type GroupRow, anyReplica } from "../tables/index.ts";

/**
 * What the row makes of a server with this data. `replaced`: it is named with data that it no longer has, beside others; `lost`: it
 * alone is, so the data is nowhere. `chosen`: somebody has given up the other copies, whatever this server has is the group's.
 */
export type RowStanding = "none" | "outside" | "replaced" | "lost" | "chosen" | "member" | "synchronising";

/** The row has not changed in anything. */
export function isSameRow(a: GroupRow, b: GroupRow | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export function standingOf(row: GroupRow | undefined, server: string, replica: string): RowStanding {
  if (row === undefined) return "none";
  const named = row.members.find((member) => member.server === server);
  if (named === undefined) return "outside";
  if (named.replica === anyReplica) return "chosen";
  if (named.replica !== replica) return row.members.length > 1 ? "replaced" : "lost";
  return row.synchronising === server ? "synchronising" : "member";
}
