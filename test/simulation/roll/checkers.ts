import { compareRevision, formatRevision } from "../../../src/kernel/index.ts";
import { membersOf } from "../../../src/tables/index.ts";
import type { History } from "./history.ts";
import { type Slot, limits } from "./slot.ts";
import { violation } from "./violation.ts";

/** Holds the pairs; see `workload.ts`. */
export const thingsTable = "things";

/** What has been promised so far and must hold from then on. */
export interface Promised {
  /** The highest revision for which `settled` resolved. */
  settled: number;
}

/** Tables that a slot holds whole; undefined: all. */
function tablesOf(slot: Slot): ReadonlySet<string> | undefined {
  const { held } = slot.node;
  return held.some(({ table }) => table === "*") ? undefined : new Set(held.map(({ table }) => table));
}

/** I1, I2, I3, I4: the node shows exactly the committed state of its position, and its position only grows. */
export function checkState(slot: Slot, history: History): void {
  const { node } = slot;
  const { position, replica } = node;
  if (compareRevision(position, slot.position) < 0)
    violation("I3", `${slot.name} went back from ${formatRevision(slot.position)} to ${formatRevision(position)}`);
  slot.position = position;
  if (position.sequence === 0) return;
  if (position.sequence > history.last) violation("I1", `${slot.name} shows ${formatRevision(position)}, committed is ${history.last}`);
  const held = tablesOf(slot);
  let live = 0;
  for (const name of history.keys()) {
    const at = name.indexOf("\u0000");
    const table = Number(name.slice(0, at));
    const key = name.slice(at + 1);
    const tableName = replica.tableByNumber(table)?.name;
    if (held !== undefined && (tableName === undefined || !held.has(tableName))) continue;
    const truth = history.at(name, position.sequence);
    const row = replica.row(table, key);
    if (truth === undefined) {
      if (row !== undefined) violation("I4", `${slot.name} at ${formatRevision(position)} still shows ${table}/${key} of ${row.sequence}`);
      continue;
    }
    live++;
    if (row === undefined)
      violation("I4", `${slot.name} at ${formatRevision(position)} lacks ${table}/${key} of ${truth.epoch}.${truth.sequence}`);
    if (
      row.text !== truth.text ||
      row.flag !== truth.valid ||
      row.sequence !== truth.sequence ||
      row.epoch !== truth.epoch ||
      row.owner !== truth.owner ||
      row.incarnation !== truth.incarnation
    )
      violation(
        "I2",
        `${slot.name} at ${formatRevision(position)} shows another ${table}/${key}: ${row.sequence} ${row.flag} ${row.text} instead of ${truth.sequence} ${truth.valid} ${truth.text}`,
      );
  }
  if (replica.size !== live)
    violation("I4", `${slot.name} at ${formatRevision(position)} shows ${replica.size} rows, committed are ${live}`);
}

/** I10: the primary that `find` names is the first member that is valid, host included. */
export function checkPrimaries(slot: Slot): void {
  const { handle, node } = slot;
  if (node.position.sequence === 0 || node.replica.table("metadata") === undefined) return;
  for (const entry of handle.search("metadata")) {
    const members = membersOf(entry.value);
    if (members === undefined) continue;
    const expected = members.find((member) => handle.get("metadata", member)?.valid === true);
    const found = handle.find("metadata", entry.key);
    if (found?.instance !== expected)
      violation("I10", `${slot.name} finds ${found?.instance} for ${entry.key}, the first valid member is ${expected}`);
  }
}

/** I5: pairs are written by one change each, so no lookup ever sees them differ. */
export function checkPairs(slot: Slot): void {
  const { node } = slot;
  if (node.replica.table(thingsTable) === undefined) return;
  for (let pair = 0; pair < 3; pair++) {
    const a = node.replica.get(thingsTable, `pair.${pair}.a`)?.value;
    const b = node.replica.get(thingsTable, `pair.${pair}.b`)?.value;
    if (JSON.stringify(a) !== JSON.stringify(b))
      violation("I5", `${slot.name} sees ${JSON.stringify(a)} beside ${JSON.stringify(b)} in pair ${pair}`);
  }
}

/** I8: whoever does not call itself detached answers from the settled revision or later. */
export function checkSettled(slot: Slot, promised: Promised): void {
  const { node } = slot;
  if (slot.alive && !slot.paused && node.isReady && !node.detached && node.position.sequence < promised.settled)
    violation("I8", `${slot.name} is attached at ${node.position.sequence}, settled was ${promised.settled}`);
}

/** I28: what is bounded stays within its bounds. */
export function checkBounds(slot: Slot): void {
  const { node } = slot;
  const ringMax = limits.ringChangesMax ?? 0;
  if (node.log.length > ringMax) violation("I28", `${slot.name} keeps ${node.log.length} changes, the limit is ${ringMax}`);
}
