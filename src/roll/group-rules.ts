import type { JsonValue } from "../kernel/index.ts";
import {
  type GroupRow,
  groupEpochBlock,
  groupKey,
  groupRowValue,
  hostOfText,
  instanceOfServer,
  parseGroupRow,
  parseText,
  readGroupRow,
  tableNumbers,
  targetOfGroupKey,
  withoutMembers,
} from "../tables/index.ts";
import { type Refusal, refusal } from "./errors.ts";
import { isUp } from "./instance-rules.ts";
import type { RuleView } from "./rule-view.ts";

/**
 * What the directory watches over in the table of ordering groups: epochs go up one by one, or to the first one of a later block, a row names servers of its own instance
 * that are valid, and a server that is given up is out of its group in that very change. So a row of several members names
 * valid ones only; a row of one may name one that is gone, and then there is no primary.
 */

/** A row as it is asked for, by a member, an operator or anybody else. Throws `tables/bad-group`. */
export function changeOfGroup(view: RuleView, key: string, value: JsonValue, valid: boolean): Refusal | undefined {
  const target = targetOfGroupKey(key);
  const table = target === undefined ? undefined : view.table(target.table);
  if (target === undefined || table?.name !== target.table || (table.kind !== "server" && table.kind !== "plain"))
    return refusal("roll/group-member", `"${key}" names no table of servers and service instance`, "write groups/TABLE/INSTANCE");
  if (!valid) return groupStays(key, false);
  const next = parseGroupRow(value);
  const before = groupAt(view, key);
  if (before !== undefined && next.epoch !== before.epoch + 1 && !beginsBlock(next.epoch, before.epoch))
    return refusal(
      "roll/group-epoch",
      `the group ${key} is in epoch ${before.epoch}, so the next is ${before.epoch + 1} or the first one of a later block, not ${next.epoch}`,
      "read the row again and decide anew",
    );
  const refused = checkMembers(view, table.number, target.instance, next, before);
  if (refused !== undefined) return refused;
  putGroup(view, key, next);
  return undefined;
}

/** Where the group's row is older than what a member has promised: there begins what may lack writes that were answered. */
function beginsBlock(epoch: number, before: number): boolean {
  return epoch > before && epoch % groupEpochBlock === 0;
}

function checkMembers(view: RuleView, table: number, instance: string, next: GroupRow, before: GroupRow | undefined): Refusal | undefined {
  const kept = next.members.length === 1 && before?.members.some(({ server }) => server === next.synchronising) === true;
  for (const { server } of next.members) {
    if (instanceOfServer(server) !== instance)
      return refusal("roll/group-member", `"${server}" is no server of ${instance}`, `name servers of this instance: ${instance}.N`);
    // The last one keeps its place while it is gone.
    if (!kept && !isUp(view, view.draft.row(table, server)))
      return refusal("roll/group-member", `"${server}" is not valid, so it takes no part`, `see \`muster why ${server}\``);
  }
  return undefined;
}

/** A group is not invalidated, bound or deleted in passing: with its row goes what is known of where the state is. */
export function groupStays(key: string, force: boolean): Refusal | undefined {
  if (force) return undefined;
  return refusal(
    "roll/group-stays",
    `the row of the group ${key} says who holds the state of its service`,
    `when that state is of no use any more: muster delete groups ${key} --force`,
  );
}

function groupAt(view: RuleView, place: string): GroupRow | undefined {
  const row = view.draft.row(tableNumbers.groups, place);
  return row === undefined ? undefined : readGroupRow(parseText(row.text));
}

function putGroup(view: RuleView, place: string, group: GroupRow): void {
  const text = JSON.stringify(groupRowValue(group));
  view.draft.put(tableNumbers.groups, place, { text, valid: true, owner: "", incarnation: 0 });
}

/** The group that the server is a member of, if there is one. Two lookups by key. */
function groupWith(view: RuleView, table: number, server: string): string | undefined {
  const instance = instanceOfServer(server);
  const name = instance === undefined ? undefined : view.tableName(table);
  const place = instance === undefined || name === undefined ? undefined : groupKey(name, instance);
  if (place === undefined || view.draft.row(tableNumbers.groups, place) === undefined) return undefined;
  return groupAt(view, place)?.members.some((member) => member.server === server) === true ? place : undefined;
}

/**
 * Takes every server that the change at hand has ended (invalid, deleted, or on a host that is given up) out of its group, in the same
 * change: nobody ever sees an invalid synchronising server beside a valid member.
 */
export function evictGone(view: RuleView): void {
  const places = new Set<string>();
  const look = (table: number, key: string) => {
    if (isUp(view, view.draft.row(table, key))) return;
    const place = groupWith(view, table, key);
    if (place !== undefined) places.add(place);
  };
  for (const { table, key } of view.draft.effects) {
    if (table !== tableNumbers.hosts) look(table, key);
    else if (view.draft.row(table, key)?.valid === false) for (const place of view.placesOn(key)) look(place.table, place.key);
  }
  for (const place of places) evict(view, place, () => false);
}

/** The groups that have something to change when this host is given up. */
export function groupsOn(view: RuleView, host: string): readonly string[] {
  const places = new Set<string>();
  for (const { table, key } of view.placesOn(host)) {
    const place = groupWith(view, table, key);
    if (place !== undefined) places.add(place);
  }
  return [...places];
}

/** Takes the servers on this host out of some groups, ahead of the change that gives it up. */
export function evictFrom(view: RuleView, host: string, places: readonly string[]): void {
  for (const place of places) evict(view, place, (text) => hostOfText(text) === host);
}

function evict(view: RuleView, place: string, isLeaving: (text: string) => boolean): void {
  const target = targetOfGroupKey(place);
  const table = target === undefined ? undefined : view.table(target.table);
  const group = groupAt(view, place);
  if (table === undefined || group === undefined) return;
  const next = withoutMembers(group, (server) => {
    const row = view.draft.row(table.number, server);
    return !isUp(view, row) || (row !== undefined && isLeaving(row.text));
  });
  if (next !== undefined) putGroup(view, place, next);
}
