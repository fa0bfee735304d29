import { type JsonValue, formatRevision } from "../kernel/index.ts";
import { type GroupRow, groupOf, groupsTable, instanceOfServer, primaryOf, readGroupRow, targetOfGroupKey } from "../tables/index.ts";
import { type StateView, entryState } from "./entry-state.ts";
import type { Entry } from "./fleet.ts";

/** Where groups are read. */
export interface GroupView extends StateView {
  search(table: string, prefix?: string): readonly Entry[];
}

/** One ordering group, with what the roll says of its members. */
export interface KnownGroup {
  readonly entry: Entry;
  readonly table: string;
  readonly instance: string;
  readonly group: GroupRow;
  /** The synchronising server, if it is valid. */
  readonly primary: string | undefined;
}

/** All groups; with a key those of this row, of this service instance, or that this server is one of the instance's servers of. */
export function knownGroups(view: GroupView, key?: string): readonly KnownGroup[] {
  if (!view.tables().some(({ name }) => name === groupsTable)) return [];
  return view.search(groupsTable).flatMap((entry) => {
    const target = targetOfGroupKey(entry.key);
    const group = readGroupRow(entry.value);
    if (target === undefined || group === undefined) return [];
    const { table, instance } = target;
    if (key !== undefined && key !== entry.key && key !== instance && instanceOfServer(key) !== instance) return [];
    return [{ entry, table, instance, group, primary: isValid(view, table, group.synchronising) ? group.synchronising : undefined }];
  });
}

/** The answer to `groups`: key, epoch, who synchronises, who is primary, the members as the roll sees them, valid servers that are none, and how many there must be. */
export function listGroups(view: GroupView, key: string | undefined): JsonValue {
  return knownGroups(view, key).map(({ entry, table, instance, group, primary }) => ({
    key: entry.key,
    table,
    instance,
    epoch: group.epoch,
    synchronising: group.synchronising,
    primary: primary ?? null,
    copiesMin: group.copiesMin,
    members: group.members.map(({ server, replica }) => ({
      server,
      replica,
      valid: isValid(view, table, server),
      state: entryState(view, table, server)?.state ?? null,
    })),
    outside: outsideOf(view, table, instance, group),
    revision: formatRevision(entry.revision),
  }));
}

/** Valid servers of the instance that are no members, with what is said of them: they catch up, or cannot come in. */
function outsideOf(view: GroupView, table: string, instance: string, group: GroupRow): JsonValue[] {
  return view.search(table, `${instance}.`).flatMap(({ key: server, valid }) => {
    const isOne = valid && instanceOfServer(server) === instance && !group.members.some((member) => member.server === server);
    if (!isOne) return [];
    const state = entryState(view, table, server);
    return [{ server, state: state?.state ?? null, reason: state?.reason ?? null }];
  });
}

function isValid(view: GroupView, table: string, server: string): boolean {
  return view.get(table, server)?.valid === true;
}

/** What the group of a service instance means for its primary, in words; nothing where there is no group. */
export function sayGroup(view: GroupView, table: string, instance: string): readonly string[] {
  const group = groupOf(view, table, instance);
  if (group === undefined) return [];
  const { epoch, synchronising, copiesMin } = group;
  const members = group.members.map(({ server }) => server);
  const words = [`its servers keep one state together: epoch ${epoch}, synchronised by ${synchronising}, members ${members.join(", ")}`];
  if (primaryOf(view, table, instance) === undefined)
    words.push(`it has no primary: only ${members.join(", ")} is known to hold all of the state, and is not valid; nobody else takes over`);
  if (members.length < copiesMin) words.push(`it has ${members.length} of the ${copiesMin} copies that it needs, so writes are refused`);
  return words;
}

/** What a server is in its instance's group; undefined where there is no group. */
export function placeInGroup(view: GroupView, table: string, server: string): string | undefined {
  const instance = instanceOfServer(server);
  const group = instance === undefined ? undefined : groupOf(view, table, instance);
  if (instance === undefined || group === undefined) return undefined;
  const { epoch, synchronising } = group;
  if (synchronising === server) return `it synchronises the writes of ${instance} in epoch ${epoch}: it is the primary while it is valid`;
  if (group.members.some((member) => member.server === server))
    return `it is a member of the group of ${instance} in epoch ${epoch}, synchronised by ${synchronising}`;
  return `it is no member of the group of ${instance} in epoch ${epoch}: it has to catch up before it answers for the state`;
}

/** What to do about a group without a primary. */
export function remedyOfGroup({ instance, group }: Pick<KnownGroup, "instance" | "group">): string {
  const servers = group.members.map(({ server }) => server).join(" or ");
  return `start ${servers} again with its data; only if that is lost for good: muster promote ${instance} --accept-loss`;
}
