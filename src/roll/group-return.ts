import { type Replica, groupEpochBlock, groupRowValue, parseText, readGroupRow, tableNumbers } from "../tables/index.ts";
import type { Authority } from "./authority.ts";

const chunkMax = 50;

/**
 * After an older roll was put back, or adopted: members may have promised later epochs than their group's row names, and refuse
 * what is lower for ever; others may hold writes that were answered after this row. So each row goes on in another block of epochs, with the
 * members that it names: by the block everybody knows that what they hold need not be all. At most 50 rows a change.
 */
export async function raiseGroups(authority: Authority, replica: Replica): Promise<void> {
  const places = Array.from(replica.entries(tableNumbers.groups), ({ key }) => key);
  for (let start = 0; start < places.length; start += chunkMax)
    await authority.duty((draft) => {
      for (const place of places.slice(start, start + chunkMax)) {
        const row = draft.row(tableNumbers.groups, place);
        const group = row === undefined ? undefined : readGroupRow(parseText(row.text));
        if (group === undefined) continue;
        const text = JSON.stringify(groupRowValue({ ...group, epoch: raisedEpoch(group.epoch, authority.epoch) }));
        draft.put(tableNumbers.groups, place, { text, valid: true, owner: "", incarnation: 0 });
      }
      return true;
    });
}

/** The same copy of a roll may be put back twice: the epoch of the directory, which is never the same, sees to it that no epoch of a group is used twice. */
function raisedEpoch(epoch: number, directoryEpoch: number): number {
  const block = Math.floor(epoch / groupEpochBlock);
  const raised = (block + directoryEpoch) * groupEpochBlock;
  return Number.isSafeInteger(raised) ? raised : (block + 1) * groupEpochBlock;
}
