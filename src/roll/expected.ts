import { type Replica, tableNumbers } from "../tables/index.ts";
import { isOfAgent } from "./host-row.ts";
import { watcherOfOwner } from "./rules.ts";
import type { Session } from "./sessions.ts";

/** A node that a directory expects back when its reign begins. */
export interface Expected {
  readonly name: string;
  readonly isHost: boolean;
}

/**
 * Whom a directory expects when its reign begins: the agents and relays of the sessions that it kept. One that kept none, because it
 * adopted its roll or was restored, expects whoever the rows name: the hosts that agents wrote, and the watchers of bound entries.
 */
export function expectedNames(sessions: readonly Session[], replica: Replica): readonly Expected[] {
  const names = new Map<string, boolean>();
  for (const { name, kind } of sessions) if (kind !== "client") names.set(name, kind === "agent" || names.get(name) === true);
  if (sessions.length === 0) {
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table)) if (row.incarnation > 0 && row.flag) names.set(watcherOfOwner(row.owner), false);
    for (const row of replica.entries(tableNumbers.hosts)) if (row.flag && isOfAgent(row.text)) names.set(row.key, true);
  }
  return Array.from(names, ([name, isHost]) => ({ name, isHost }));
}
