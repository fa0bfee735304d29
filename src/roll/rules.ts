import { MusterError, formatRevision } from "../kernel/index.ts";
import { hostOfText, parseKey, parseValue, tableNumbers } from "../tables/index.ts";
import type { DraftRow } from "./draft.ts";
import { type Refusal, refusal } from "./errors.ts";
import { instanceOf, instanceStays, joinInstance, leaveInstance, membersOf } from "./instance-rules.ts";
import { changeOfGroup, evictGone, groupStays } from "./group-rules.ts";
import { changeOfPartition, partitionStays } from "./partition-rules.ts";
import { type RuleTable, type RuleView, erase } from "./rule-view.ts";
import { addTable, eraseRoutes, hostStays, tableStays } from "./table-rules.ts";
import type { Condition, RequestOperation } from "./requests.ts";
import { clearEnd, isIdleDoubt, putEnd } from "./server-states.ts";

/**
 * The directory's rules: what a request becomes on top of what has been decided. Pure over a draft; every refusal is
 * data, because it is an outcome that is committed like any other.
 */
export interface RuleWriter {
  /** 0 is the directory itself. */
  readonly session: number;
  /** The name of the node that speaks. */
  readonly name: string;
  /** Programs watch nobody, whatever they call themselves. */
  readonly isProgram: boolean;
}

function watches(writer: RuleWriter, row: DraftRow): boolean {
  return !writer.isProgram && watcherOfOwner(row.owner) === writer.name;
}

/** `owner` of a bound entry: the watching node and the session of the program. */
export function ownerOf(watcher: string, session: number): string {
  return `${watcher}/${session}`;
}

export function sessionOfOwner(owner: string): number {
  return Number(owner.slice(owner.lastIndexOf("/") + 1));
}

export function watcherOfOwner(owner: string): string {
  return owner.slice(0, owner.lastIndexOf("/"));
}

/** Applies all operations to the draft or returns the first refusal. The draft was begun with the change's revision. */
export function decide(
  view: RuleView,
  writer: RuleWriter,
  operations: readonly RequestOperation[],
  conditions: readonly Condition[],
): Refusal | undefined {
  try {
    for (const condition of conditions) {
      const refused = checkCondition(view, condition);
      if (refused !== undefined) return refused;
    }
    for (const operation of operations) {
      const refused = applyOperation(view, writer, operation);
      if (refused !== undefined) return refused;
    }
    evictGone(view);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof MusterError) return refusal(thrown.code, thrown.message, thrown.next);
    throw thrown;
  }
}

function checkCondition(view: RuleView, condition: Condition): Refusal | undefined {
  const table = view.table(condition.table);
  if (table === undefined) return unknownTable(condition.table);
  const row = view.draft.row(table.number, condition.key);
  const found = row === undefined ? "absent" : formatRevision(row);
  if (found === condition.revision) return undefined;
  return refusal(
    "roll/condition-failed",
    `${table.name}/${condition.key} is at ${found}, the change asks for ${condition.revision}`,
    "read the entry again and decide anew",
  );
}

function unknownTable(name: string): Refusal {
  return refusal("roll/unknown-table", `there is no table "${name}"`, `see \`muster tables\`, or add it: muster table add ${name}`);
}

function applyOperation(view: RuleView, writer: RuleWriter, operation: RequestOperation): Refusal | undefined {
  const table = view.table(operation.table);
  if (table === undefined) return unknownTable(operation.table);
  parseKey(operation.key);
  switch (operation.op) {
    case "add":
      return add(view, writer, table, operation);
    case "delete":
      return remove(view, writer, table, operation.key, operation.force);
    case "set-valid":
      return setValid(view, writer, table, operation.key, operation.valid);
    case "bind":
      return bind(view, writer, table, operation);
    case "unbind":
      return unbind(view, writer, table, operation.key);
    case "lapse":
      return lapse(view, writer, table, operation);
  }
}

function isLive(view: RuleView, row: DraftRow | undefined): row is DraftRow {
  return row !== undefined && row.incarnation > 0 && row.valid && view.sessionLives(sessionOfOwner(row.owner));
}

function isOwnedBy(row: DraftRow, writer: RuleWriter): boolean {
  return row.incarnation > 0 && sessionOfOwner(row.owner) === writer.session;
}

function claimed(table: RuleTable, key: string, row: DraftRow): Refusal {
  return refusal(
    "roll/key-claimed",
    `${table.name}/${key} is bound to a live program (owner ${row.owner})`,
    `stop that program, choose another key, or end the binding: muster delete ${table.name} ${key} --force`,
  );
}

type Add = Extract<RequestOperation, { op: "add" }>;

function add(view: RuleView, writer: RuleWriter, table: RuleTable, operation: Add): Refusal | undefined {
  const { key, valid } = operation;
  const row = view.draft.row(table.number, key);
  // A program may change the value of what it has bound; anybody else may not touch a live one.
  const own = row !== undefined && isOwnedBy(row, writer);
  if (isLive(view, row) && !own) return claimed(table, key, row);
  if (table.number === tableNumbers.tables) return addTable(view, key, operation.value, row);
  if (table.number === tableNumbers.groups) return changeOfGroup(view, key, operation.value, valid);
  if (table.number === tableNumbers.partitions) return changeOfPartition(view, key, operation.value, valid);
  const text = parseValue(table.kind, key, operation.value);
  if (table.number === tableNumbers.states && isIdleDoubt(view.draft, key, text)) return undefined;
  const refused = checkPlace(view, table, key, text);
  if (refused !== undefined) return refused;
  const full = joinInstance(view, table, key, text, valid);
  if (full !== undefined) return full;
  if (row !== undefined && valid && !row.valid) clearEnd(view.draft, table.name, key, "same");
  if (own) view.draft.put(table.number, key, { text, valid, owner: row.owner, incarnation: row.incarnation });
  else view.draft.put(table.number, key, { text, valid, owner: "", incarnation: 0 });
  return undefined;
}

/** Unknown hosts are refused, and a key is either a server or a service instance of several, never both. */
function checkPlace(view: RuleView, table: RuleTable, key: string, text: string): Refusal | undefined {
  const host = hostOfText(text);
  if (host === "") return undefined;
  if (!view.knowsHost(host))
    return refusal(
      "roll/unknown-host",
      `${table.name}/${key} names the host "${host}", which has no route`,
      `start an agent with --host ${host}, or add a route: muster add host-route ${host}.0 ADDRESS`,
    );
  const instance = instanceOf(key);
  const above = instance === undefined ? undefined : view.draft.row(table.number, instance);
  if (above !== undefined && membersOf(above.text) === undefined)
    return refusal(
      "roll/instance-is-a-server",
      `"${instance}" is itself a server, so it has no server "${key}"`,
      "register under another service instance",
    );
  const here = view.draft.row(table.number, key);
  if (here !== undefined && membersOf(here.text) !== undefined)
    return refusal("roll/instance-has-members", `"${key}" is a service instance of several servers`, `register as one of them: ${key}.N`);
  return undefined;
}

function noEntry(table: RuleTable, key: string): Refusal {
  return refusal("roll/no-such-entry", `there is no entry ${table.name}/${key}`, `see \`muster search ${table.name}\`, or add it first`);
}

function remove(view: RuleView, writer: RuleWriter, table: RuleTable, key: string, force: boolean): Refusal | undefined {
  const row = view.draft.row(table.number, key);
  if (row === undefined) return noEntry(table, key);
  if (isLive(view, row) && !force && !isOwnedBy(row, writer)) return claimed(table, key, row);
  const stays =
    table.number === tableNumbers.tables
      ? tableStays(view, key)
      : table.number === tableNumbers.hosts
        ? hostStays(view, key)
        : table.number === tableNumbers.groups
          ? groupStays(key, force)
          : table.number === tableNumbers.partitions
            ? partitionStays(key, force)
            : instanceStays(view, table, key, row);
  if (stays !== undefined) return stays;
  const routes = table.number === tableNumbers.hosts ? view.table("host-route") : undefined;
  if (routes !== undefined) eraseRoutes(view, routes, key);
  leaveInstance(view, table, key);
  erase(view, table, key);
  return undefined;
}

function setValid(view: RuleView, writer: RuleWriter, table: RuleTable, key: string, valid: boolean): Refusal | undefined {
  const row = view.draft.row(table.number, key);
  if (row === undefined) return noEntry(table, key);
  if (row.incarnation > 0 && !isOwnedBy(row, writer) && !watches(writer, row)) return claimed(table, key, row);
  if (row.valid === valid) return undefined;
  if (table.number === tableNumbers.groups) return groupStays(key, false);
  if (table.number === tableNumbers.partitions) return partitionStays(key, false);
  if (table.number === tableNumbers.tables)
    return refusal("roll/built-in-table", "a table is always valid", `delete it when it is empty: muster table remove ${key}`);
  if (valid) {
    joinInstance(view, table, key, row.text, true);
    clearEnd(view.draft, table.name, key, "same");
  }
  view.draft.setValid(table.number, key, row, valid);
  return undefined;
}

type Bind = Extract<RequestOperation, { op: "bind" }>;

function bind(view: RuleView, writer: RuleWriter, table: RuleTable, operation: Bind): Refusal | undefined {
  const { key, valid } = operation;
  const row = view.draft.row(table.number, key);
  if (table.number === tableNumbers.groups) return groupStays(key, false);
  if (table.number === tableNumbers.partitions) return partitionStays(key, false);
  if (operation.value === undefined && row === undefined) return noEntry(table, key);
  if (isLive(view, row) && !isOwnedBy(row, writer)) return claimed(table, key, row);
  const text = operation.value === undefined ? (row?.text ?? "null") : parseValue(table.kind, key, operation.value);
  const owner = ownerOf(operation.watcher, writer.session);
  // The same program repeating itself (after its agent restarted, say) changes nothing, so that nothing flaps.
  if (row !== undefined && row.owner === owner && row.incarnation > 0 && row.valid === valid && row.text === text) return undefined;
  const refused = checkPlace(view, table, key, text);
  if (refused !== undefined) return refused;
  const full = joinInstance(view, table, key, text, valid);
  if (full !== undefined) return full;
  const same = row !== undefined && row.owner === owner;
  if (!same || (valid && !row.valid)) clearEnd(view.draft, table.name, key, same ? "same" : "another");
  view.draft.put(table.number, key, { text, valid, owner, incarnation: view.draft.sequence });
  return undefined;
}

function unbind(view: RuleView, writer: RuleWriter, table: RuleTable, key: string): Refusal | undefined {
  const row = view.draft.row(table.number, key);
  // Somebody else holds the key by now, or it is gone: the program's own entry has ended already.
  if (row === undefined || !isOwnedBy(row, writer)) return undefined;
  leaveInstance(view, table, key);
  erase(view, table, key);
  return undefined;
}

type Lapse = Extract<RequestOperation, { op: "lapse" }>;

function lapse(view: RuleView, writer: RuleWriter, table: RuleTable, operation: Lapse): Refusal | undefined {
  const row = view.draft.row(table.number, operation.key);
  // An accusation names the incarnation that it is about; a newer one refutes it.
  if (row === undefined || row.incarnation !== operation.incarnation) return undefined;
  if (!watches(writer, row))
    return refusal(
      "roll/not-the-watcher",
      `only ${watcherOfOwner(row.owner)}, which watches its program, may say that ${operation.key} has lapsed`,
    );
  // Nobody comes back to a lease, and nobody asks why it ended.
  if (operation.action === "delete" || table.number === tableNumbers.leases) {
    leaveInstance(view, table, operation.key);
    erase(view, table, operation.key);
  } else if (row.valid) {
    view.draft.setValid(table.number, operation.key, row, false);
    if (operation.state !== undefined) putEnd(view.draft, table.name, operation.key, operation.state);
  }
  return undefined;
}
