import { compareRevision, formatRevision } from "../../../src/kernel/index.ts";
import { groupsTable, membersOf, readGroupRow } from "../../../src/tables/index.ts";
import type { History } from "./history.ts";
import { type Slot, limits } from "./slot.ts";
import { violation } from "./violation.ts";

/** The table of the programs' scratch rows and pairs: one without rules of its own. */
export const thingsTable = "things";

/** Each change of a program adds a row that nobody else writes and nobody deletes. */
export const marksTable = "marks";

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

/** I3: the position only grows between the start and the end of a life. */
export function checkForward(slot: Slot): void {
  const { position } = slot.node;
  if (compareRevision(position, slot.position) < 0)
    violation("I3", `${slot.name} went back from ${formatRevision(slot.position)} to ${formatRevision(position)}`);
  slot.position = position;
}

/** I1: nothing shows that is not committed. */
export function checkCommittedOnly({ name, node }: Slot, history: History): void {
  if (node.position.sequence > history.last)
    violation("I1", `${name} shows ${formatRevision(node.position)}, committed is ${history.last}`);
}

/**
 * I2, I4: the node shows exactly the committed state of its position. `whole` compares every row; otherwise those that were
 * written since the last comparison.
 */
export function checkRows(slot: Slot, history: History, whole: boolean): void {
  const { position, replica } = slot.node;
  const from = slot.compared;
  slot.compared = position.sequence;
  if (position.sequence === 0) return;
  const held = tablesOf(slot);
  let live = 0;
  for (const name of whole ? history.keys() : history.writtenBetween(from, position.sequence)) {
    const at = name.indexOf("\u0000");
    const table = Number(name.slice(0, at));
    const tableName = replica.tableByNumber(table)?.name;
    if (held !== undefined && (tableName === undefined || !held.has(tableName))) continue;
    if (checkRow(slot, history, name, table, name.slice(at + 1))) live++;
  }
  if (whole && replica.size !== live)
    violation("I4", `${slot.name} at ${formatRevision(position)} shows ${replica.size} rows, committed are ${live}`);
}

/** Whether there is such a row at the slot's position. */
function checkRow(slot: Slot, history: History, name: string, table: number, key: string): boolean {
  const { position, replica } = slot.node;
  const truth = history.at(name, position.sequence);
  const row = replica.row(table, key);
  if (truth === undefined) {
    if (row !== undefined) violation("I4", `${slot.name} at ${formatRevision(position)} still shows ${table}/${key} of ${row.sequence}`);
    return false;
  }
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
  return true;
}

/** I10: the primary that `find` names is the first member that is valid, host included; of a group its synchronising server, or nobody. */
export function checkPrimaries(slot: Slot): void {
  const { handle, node } = slot;
  if (node.position.sequence === 0 || node.replica.table("metadata") === undefined) return;
  for (const entry of handle.search("metadata")) {
    const members = membersOf(entry.value);
    if (members === undefined) continue;
    const group = readGroupRow(handle.get(groupsTable, `metadata/${entry.key}`)?.value ?? null);
    const candidates = group === undefined ? members : [group.synchronising];
    const expected = candidates.find((member) => handle.get("metadata", member)?.valid === true);
    const found = handle.find("metadata", entry.key);
    if (found?.instance !== expected)
      violation("I10", `${slot.name} finds ${found?.instance} for ${entry.key}, its primary is ${expected}`);
    if (found?.group?.epoch !== (expected === undefined ? undefined : group?.epoch))
      violation("I10", `${slot.name} finds ${entry.key} in epoch ${found?.group?.epoch}, its group is in ${group?.epoch}`);
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

/** I15: a table that nothing is ever deleted from never gets smaller at any node, by whatever load or difference. */
export function checkNotEmptied(slot: Slot): void {
  const number = slot.node.replica.table(marksTable)?.number;
  const marks = number === undefined ? 0 : slot.node.replica.entryCount(number);
  if (marks < slot.marks) violation("I15", `${slot.name} dropped from ${slot.marks} to ${marks} marks, and no change deletes any`);
  slot.marks = marks;
}

/** I28: what is bounded stays within its bounds: rings, sets of open changes, watched entries, sessions and their outcomes. */
export function checkBounds(slot: Slot, history: History, slots: readonly Slot[]): void {
  const { node, name } = slot;
  const bound = (what: string, value: unknown, max: number) => {
    if (Number(value) > max) violation("I28", `${name} keeps ${Number(value)} ${what}, the bound is ${max}`);
  };
  const openMax = limits.openChangesMax ?? 0;
  bound("changes in its ring", node.log.length, limits.ringChangesMax ?? 0);
  const status = node.status();
  bound("open changes", status["openChanges"], slot.role === "client" ? openMax : openMax * slots.length);
  bound("watched entries", status["watched"], serviceKeysMax);
  if (slot.role !== "directory") return;
  // Whoever was admitted is expected back for a while: at most every life that ever was.
  const lives = slots.reduce((sum, other) => sum + other.lives, 0);
  bound("sessions", status["sessions"], lives);
  bound("attendants", Number(status["attached"]) + Number(status["left"]) + Number(status["givenUp"]), lives);
  bound("barriers", status["settling"], lives * 4);
  for (const { id, outcomes } of history.sessions()) bound(`outcomes of session ${id}`, outcomes, openMax);
}

/** Four services of three instances each, and their rows. */
const serviceKeysMax = 4 * (3 + 1);
