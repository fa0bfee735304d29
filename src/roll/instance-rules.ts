import { isRecord, limits } from "../kernel/index.ts";
import { hostOfText, membersMax, tableNumbers } from "../tables/index.ts";
import type { DraftRow } from "./draft.ts";
import { type Refusal, refusal } from "./errors.ts";
import { type RuleTable, type RuleView, erase } from "./rule-view.ts";

/** The service instance of a server instance: `MDS.1` of `MDS.1.1`; undefined for shorter keys. */
export function instanceOf(key: string): string | undefined {
  const last = key.lastIndexOf(".");
  return last > 0 && key.lastIndexOf(".", last - 1) > 0 ? key.slice(0, last) : undefined;
}

/** The members that a service instance's row names, in their order. */
export function membersOf(text: string): readonly string[] | undefined {
  if (!text.startsWith('{"members":')) return undefined;
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || !Array.isArray(value["members"])) return undefined;
  return value["members"].filter((member) => typeof member === "string");
}

/** Whether the server is valid as everybody sees it: its host included. */
export function isUp(view: RuleView, row: DraftRow | undefined): boolean {
  if (row === undefined || !row.valid) return false;
  const host = hostOfText(row.text);
  return host === "" || view.draft.row(tableNumbers.hosts, host)?.valid !== false;
}

/**
 * Puts a server into its service instance's row in order of arrival. One that becomes valid again goes behind the member
 * that took over: nobody becomes primary again by itself. A full row refuses another server.
 */
export function joinInstance(view: RuleView, table: RuleTable, key: string, text: string, valid: boolean): Refusal | undefined {
  const instance = instanceOf(key);
  if (instance === undefined || hostOfText(text) === "") return undefined;
  const row = view.draft.row(table.number, instance);
  const members = row === undefined ? [] : membersOf(row.text);
  if (members === undefined) return undefined;
  const known = members.includes(key);
  let order = known ? members : [...members, key];
  if (known && valid && !isUp(view, view.draft.row(table.number, key))) order = behindPrimary(view, table, members, key);
  if (order === members) return undefined;
  if (!known && (order.length > membersMax || Buffer.byteLength(membersText(order)) > limits.valueBytesMax))
    return refusal(
      "roll/instance-full",
      `${table.name}/${instance} has ${members.length} servers, and no room for "${key}"`,
      `register under another service instance, or delete servers that are gone: muster search ${table.name} ${instance}.`,
    );
  putMembers(view, table, instance, order);
  return undefined;
}

function behindPrimary(view: RuleView, table: RuleTable, members: readonly string[], key: string): readonly string[] {
  const primary = members.find((member) => isUp(view, view.draft.row(table.number, member)));
  if (primary === undefined || members.indexOf(primary) < members.indexOf(key)) return members;
  const others = members.filter((member) => member !== key);
  const place = others.indexOf(primary) + 1;
  return [...others.slice(0, place), key, ...others.slice(place)];
}

function putMembers(view: RuleView, table: RuleTable, instance: string, members: readonly string[]): void {
  if (members.length === 0) erase(view, table, instance);
  else view.draft.put(table.number, instance, { text: membersText(members), valid: true, owner: "", incarnation: 0 });
}

function membersText(members: readonly string[]): string {
  return JSON.stringify({ members });
}

/** Takes a server out of its service instance's row; the last one takes the row along. */
export function leaveInstance(view: RuleView, table: RuleTable, key: string): void {
  const instance = instanceOf(key);
  const row = instance === undefined ? undefined : view.draft.row(table.number, instance);
  const members = row === undefined ? undefined : membersOf(row.text);
  if (instance === undefined || members === undefined || !members.includes(key)) return;
  putMembers(
    view,
    table,
    instance,
    members.filter((member) => member !== key),
  );
}

/** The row of a service instance is derived from its servers, and stays as long as there is one. */
export function instanceStays(view: RuleView, table: RuleTable, key: string, row: DraftRow): Refusal | undefined {
  const servers = membersOf(row.text)?.filter((member) => view.draft.row(table.number, member) !== undefined) ?? [];
  if (servers.length === 0) return undefined;
  return refusal(
    "roll/instance-has-servers",
    `${table.name}/${key} names ${servers.length} servers that are on the roll`,
    `delete these, and the row goes with the last one: muster search ${table.name} ${key}.`,
  );
}
