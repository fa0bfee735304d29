import { isRecord } from "../kernel/index.ts";
import { type Replica, parseText, tableNumbers } from "../tables/index.ts";
import type { Draft } from "./draft.ts";
import { clearState, dropState, hasOwnState, putState } from "./entry-states.ts";
import type { Admit } from "./messages.ts";

/** Who says it, and when: what goes into a row of `states`. */
export interface Word {
  readonly by: string;
  readonly sinceUnixMs: number;
}

/**
 * Whether an agent wrote this row of `hosts`: agents say how many routes their host has. A host that a person added does not come back
 * by itself, so nobody waits for it, gives it up or forgets it. A row that nobody can read is no agent's.
 */
export function isOfAgent(text: string): boolean {
  try {
    const value = parseText(text);
    return isRecord(value) && typeof value["routes"] === "number";
  } catch {
    return false;
  }
}

/**
 * The host's row and its routes, as its agent says them; routes that it no longer names are removed. A route that a probe or
 * an operator set invalid stays so unless its address is another one: the return of an agent says nothing about routes.
 */
export function writeHost(draft: Draft, admit: Admit, replica: Replica): void {
  const known = draft.row(tableNumbers.hosts, admit.name);
  const text =
    admit.routes.length === 0 && known !== undefined ? known.text : JSON.stringify({ routes: admit.routes.length, ...admit.attributes });
  if (known === undefined || known.text !== text || !known.valid)
    draft.put(tableNumbers.hosts, admit.name, { text, valid: true, owner: "", incarnation: 0 });
  clearState(draft, "hosts", admit.name);
  if (admit.routes.length === 0) return;
  admit.routes.forEach((address, number) => {
    const key = `${admit.name}.${number}`;
    const route = JSON.stringify(address);
    if (draft.row(tableNumbers.hostRoute, key)?.text === route) return;
    draft.put(tableNumbers.hostRoute, key, { text: route, valid: true, owner: "", incarnation: 0 });
    clearState(draft, "host-route", key);
  });
  reviveRoutes(draft, admit);
  for (const entry of replica.search("host-route", `${admit.name}.`)) {
    const number = Number(entry.key.slice(admit.name.length + 1));
    if (!Number.isInteger(number) || number < admit.routes.length) continue;
    draft.remove(tableNumbers.hostRoute, entry.key);
    dropState(draft, "host-route", entry.key);
  }
}

/** It came over some route, and probes say that it has none: then they are outdated, and begin anew with all of them. */
function reviveRoutes(draft: Draft, { name, routes }: Admit): void {
  const keys = routes.map((_, number) => `${name}.${number}`);
  if (keys.some((key) => draft.row(tableNumbers.hostRoute, key)?.valid === true)) return;
  for (const key of keys) {
    const row = draft.row(tableNumbers.hostRoute, key);
    if (row === undefined || !hasOwnState(draft, "host-route", key)) continue;
    draft.setValid(tableNumbers.hostRoute, key, row, true);
    clearState(draft, "host-route", key);
  }
}

/**
 * What probes found out about a route. Returns whether anything is new. A route that an operator set invalid has no state
 * of ours, and no probe makes it valid again.
 */
export function writeRoute(draft: Draft, key: string, valid: boolean, why: string, word: Word): boolean {
  const row = draft.row(tableNumbers.hostRoute, key);
  if (row === undefined || row.valid === valid) return false;
  if (valid && !hasOwnState(draft, "host-route", key)) return false;
  draft.setValid(tableNumbers.hostRoute, key, row, valid);
  if (valid) clearState(draft, "host-route", key);
  else putState(draft, "host-route", key, { state: "gone", reason: why, ...word });
  return true;
}
