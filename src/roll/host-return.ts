import { type Replica, tableNumbers } from "../tables/index.ts";
import type { Authority } from "./authority.ts";
import type { Draft } from "./draft.ts";
import { writeHost } from "./host-row.ts";
import type { Admit } from "./messages.ts";
import { instanceOf, joinInstance } from "./instance-rules.ts";
import { watcherOfOwner } from "./rules.ts";

const chunkMax = 50;

/**
 * Makes a host valid, in an order in which nothing dead shows for a moment: first the entries of programs that a new
 * agent does not know, then the rows of the instances whose primary has moved, last the host itself.
 */
export async function raiseHost(authority: Authority, replica: Replica, admit: Admit, newAgent: boolean): Promise<void> {
  const down = replica.row(tableNumbers.hosts, admit.name)?.flag === false;
  if (down && newAgent) await lowerUnknown(authority, admit.name);
  // Decided anew until nothing is left to re-order: meanwhile another host may have come back and taken a primary's place.
  for (let raised = false; !raised; )
    await authority.duty((draft) => {
      // As decided by now: the host may have been given up while this was under way.
      if (draft.row(tableNumbers.hosts, admit.name)?.valid === false) reorder(authority, replica, admit.name, draft);
      raised = draft.touched === 0;
      if (raised) writeHost(draft, admit, replica);
      return true;
    });
}

/** What programs of the host's former agent had bound turns invalid; at most 50 rows a change, on every store. */
async function lowerUnknown(authority: Authority, host: string): Promise<void> {
  const places = [...authority.ground.placesOn(host)];
  for (let start = 0; start < places.length; start += chunkMax)
    await authority.duty((draft) => {
      for (const { table, key } of places.slice(start, start + chunkMax)) {
        const row = draft.row(table, key);
        if (row !== undefined && row.incarnation > 0 && row.valid && watcherOfOwner(row.owner) === host)
          draft.setValid(table, key, row, false);
      }
      return true;
    });
}

/** Puts servers of a returning host behind the members that took over from them; at most 50 rows a change. */
function reorder(authority: Authority, replica: Replica, host: string, draft: Draft): void {
  for (const { table: number, key } of [...authority.ground.placesOn(host)]) {
    const table = replica.tableByNumber(number);
    const decided = draft.row(number, key);
    if (table === undefined || decided?.valid !== true || instanceOf(key) === undefined) continue;
    joinInstance(authority.ground, table, key, decided.text, true);
    if (draft.touched >= chunkMax) return;
  }
}
