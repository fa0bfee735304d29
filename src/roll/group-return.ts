import { type Replica, groupRowValue, parseText, readGroupRow, tableNumbers } from "../tables/index.ts";
import type { Authority } from "./authority.ts";

/** More epochs than a group goes through between a snapshot, or the change that a lost store had last told of, and now. */
const groupEpochStep = 1_000_000;

const chunkMax = 50;

/**
 * After an older roll was put back, or adopted: members may have promised later epochs than their group's row names, and refuse
 * what is lower for ever. So each row goes on far beyond, with the members that it names; at most 50 rows a change.
 */
export async function raiseGroups(authority: Authority, replica: Replica): Promise<void> {
  const places = Array.from(replica.entries(tableNumbers.groups), ({ key }) => key);
  for (let start = 0; start < places.length; start += chunkMax)
    await authority.duty((draft) => {
      for (const place of places.slice(start, start + chunkMax)) {
        const row = draft.row(tableNumbers.groups, place);
        const group = row === undefined ? undefined : readGroupRow(parseText(row.text));
        if (group === undefined) continue;
        const epoch = (Math.floor(group.epoch / groupEpochStep) + 1) * groupEpochStep;
        const text = JSON.stringify(groupRowValue({ ...group, epoch }));
        draft.put(tableNumbers.groups, place, { text, valid: true, owner: "", incarnation: 0 });
      }
      return true;
    });
}
