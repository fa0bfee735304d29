import { MusterError, formatRevision, isRecord } from "../kernel/index.ts";
import { type TableKind, hostOfText, parseKey, parseTableName, parseValue, tableNumbers } from "../tables/index.ts";
import type { Draft, DraftRow } from "./draft.ts";
import { type Refusal, refusal } from "./errors.ts";
import type { Condition, RequestOperation } from "./requests.ts";

/**
 * The directory's rules: what a request becomes on top of what has been decided. Pure over a draft; every refusal is
 * data, because it is an outcome that is committed like any other.
 */
export interface RuleTable {
  readonly number: number;
  readonly name: string;
  readonly kind: TableKind;
}

export interface RuleView {
  readonly draft: Draft;
  table(name: string): RuleTable | undefined;
  /** Whether any `host-route` row or a `hosts` row names the host. */
  knowsHost(host: string): boolean;
  /** The number for the next user table. */
  nextTableNumber(): number;
  tableIsEmpty(table: number): boolean;
  /** Whether the program of this session may still be there: a binding whose session has ended holds nobody off. */
  sessionLives(session: number): boolean;
}

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
  const text = parseValue(table.kind, key, operation.value);
  const refused = checkPlace(view, table, key, text);
  if (refused !== undefined) return refused;
  joinInstance(view, table, key, text, valid);
  if (own) view.draft.put(table.number, key, { text, valid, owner: row.owner, incarnation: row.incarnation });
  else view.draft.put(table.number, key, { text, valid, owner: "", incarnation: 0 });
  return undefined;
}

function addTable(view: RuleView, name: string, value: unknown, row: DraftRow | undefined): Refusal | undefined {
  parseTableName(name);
  if (row !== undefined) {
    const stored: unknown = JSON.parse(row.text);
    if (!isRecord(stored) || !isRecord(value)) return refusal("roll/bad-table", "a table is described by an object");
    // A table keeps its number and kind for life: rows refer to them.
    const merged = { ...stored, ...value, number: stored["number"], kind: stored["kind"] };
    view.draft.put(tableNumbers.tables, name, { text: parseValue("tables", name, merged), valid: true, owner: "", incarnation: 0 });
    return undefined;
  }
  if (!isRecord(value))
    return refusal("roll/bad-table", "a table is described by an object", 'write {} or { "symbol": …, "mapping": …, "index": […] }');
  const symbol = value["symbol"];
  if (view.table(name) !== undefined || (typeof symbol === "string" && view.table(symbol) !== undefined))
    return refusal(
      "roll/table-exists",
      `a table already answers to "${view.table(name) === undefined ? String(symbol) : name}"`,
      "choose another name or symbol",
    );
  const kind = value["mapping"] === undefined ? "plain" : "partition";
  const definition = { ...value, number: view.nextTableNumber(), kind };
  view.draft.put(tableNumbers.tables, name, { text: parseValue("tables", name, definition), valid: true, owner: "", incarnation: 0 });
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

function isUp(view: RuleView, row: DraftRow | undefined): boolean {
  if (row === undefined || !row.valid) return false;
  const host = hostOfText(row.text);
  return host === "" || view.draft.row(tableNumbers.hosts, host)?.valid !== false;
}

/**
 * Puts a server into its service instance's row in order of arrival. One that becomes valid again goes behind the member
 * that took over: nobody becomes primary again by itself.
 */
export function joinInstance(view: RuleView, table: RuleTable, key: string, text: string, valid: boolean): void {
  const instance = instanceOf(key);
  if (instance === undefined || hostOfText(text) === "") return;
  const row = view.draft.row(table.number, instance);
  const members = row === undefined ? [] : membersOf(row.text);
  if (members === undefined) return;
  const known = members.includes(key);
  let order = known ? members : [...members, key];
  if (known && valid && !isUp(view, view.draft.row(table.number, key))) order = behindPrimary(view, table, members, key);
  if (order === members) return;
  putMembers(view, table, instance, order);
}

function behindPrimary(view: RuleView, table: RuleTable, members: readonly string[], key: string): readonly string[] {
  const primary = members.find((member) => isUp(view, view.draft.row(table.number, member)));
  if (primary === undefined || members.indexOf(primary) < members.indexOf(key)) return members;
  const others = members.filter((member) => member !== key);
  const place = others.indexOf(primary) + 1;
  return [...others.slice(0, place), key, ...others.slice(place)];
}

function putMembers(view: RuleView, table: RuleTable, instance: string, members: readonly string[]): void {
  if (members.length === 0) view.draft.remove(table.number, instance);
  else view.draft.put(table.number, instance, { text: JSON.stringify({ members }), valid: true, owner: "", incarnation: 0 });
}

function leaveInstance(view: RuleView, table: RuleTable, key: string): void {
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

function noEntry(table: RuleTable, key: string): Refusal {
  return refusal("roll/no-such-entry", `there is no entry ${table.name}/${key}`, `see \`muster search ${table.name}\`, or add it first`);
}

function remove(view: RuleView, writer: RuleWriter, table: RuleTable, key: string, force: boolean): Refusal | undefined {
  const row = view.draft.row(table.number, key);
  if (row === undefined) return noEntry(table, key);
  if (isLive(view, row) && !force && !isOwnedBy(row, writer)) return claimed(table, key, row);
  if (table.number === tableNumbers.tables) {
    const target = view.table(key);
    if (target !== undefined && target.number < 32) return refusal("roll/built-in-table", `"${key}" is a built-in table`, "it stays");
    if (target !== undefined && !view.tableIsEmpty(target.number))
      return refusal("roll/table-not-empty", `the table "${key}" still has entries`, `delete them first: muster search ${key}`);
  }
  leaveInstance(view, table, key);
  view.draft.remove(table.number, key);
  return undefined;
}

function setValid(view: RuleView, writer: RuleWriter, table: RuleTable, key: string, valid: boolean): Refusal | undefined {
  const row = view.draft.row(table.number, key);
  if (row === undefined) return noEntry(table, key);
  if (row.incarnation > 0 && !isOwnedBy(row, writer) && !watches(writer, row)) return claimed(table, key, row);
  if (row.valid === valid) return undefined;
  if (valid) joinInstance(view, table, key, row.text, true);
  view.draft.setValid(table.number, key, row, valid);
  return undefined;
}

type Bind = Extract<RequestOperation, { op: "bind" }>;

function bind(view: RuleView, writer: RuleWriter, table: RuleTable, operation: Bind): Refusal | undefined {
  const { key, valid } = operation;
  const row = view.draft.row(table.number, key);
  if (operation.value === undefined && row === undefined) return noEntry(table, key);
  if (isLive(view, row) && !isOwnedBy(row, writer)) return claimed(table, key, row);
  const text = operation.value === undefined ? (row?.text ?? "null") : parseValue(table.kind, key, operation.value);
  const owner = ownerOf(operation.watcher, writer.session);
  // The same program repeating itself (after its agent restarted, say) changes nothing, so that nothing flaps.
  if (row !== undefined && row.owner === owner && row.incarnation > 0 && row.valid === valid && row.text === text) return undefined;
  const refused = checkPlace(view, table, key, text);
  if (refused !== undefined) return refused;
  joinInstance(view, table, key, text, valid);
  view.draft.put(table.number, key, { text, valid, owner, incarnation: view.draft.sequence });
  return undefined;
}

function unbind(view: RuleView, writer: RuleWriter, table: RuleTable, key: string): Refusal | undefined {
  const row = view.draft.row(table.number, key);
  // Somebody else holds the key by now, or it is gone: the program's own entry has ended already.
  if (row === undefined || !isOwnedBy(row, writer)) return undefined;
  leaveInstance(view, table, key);
  view.draft.remove(table.number, key);
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
  if (operation.action === "delete") {
    leaveInstance(view, table, operation.key);
    view.draft.remove(table.number, operation.key);
  } else if (row.valid) view.draft.setValid(table.number, operation.key, row, false);
  return undefined;
}
