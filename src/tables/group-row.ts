import { type JsonValue, MusterError, isRecord, limits } from "../kernel/index.ts";

/** The table of ordering groups; a row's key is "TABLE/INSTANCE" of the service instance whose servers keep one state together. */
export const groupsTable = "groups";
/** Hosts of one group: each write waits for all of them. */
export const groupMembersMax = 16;
/**
 * Epochs of one history of a group stay within a block of so many. In another block begins what may lack writes that were answered:
 * after an older roll was put back, or when a row that had been deleted is made again.
 */
export const groupEpochBlock = 1_000_000;

/**
 * Stands for whatever data the server has. Only `muster promote --accept-loss` writes it, and only of a group's only member: the copies
 * that the epoch before named are given up. The server that it names takes its own copy for the group's, as old as it may be, unless it
 * knows that this copy is incomplete. Before it orders anything it writes its own identity in place of this mark, as the next epoch:
 * while the mark stands, an emptied disk would be accepted as well.
 */
export const anyReplica = "0000000000000000";

/** One server of a group, and the copy of the state that it holds. */
export interface GroupMember {
  /** Key of the server instance, e.g. "MDS.1.2". */
  readonly server: string;
  /** Random identity of its data, or `anyReplica`: a server that lost its disk is not the member that it was. */
  readonly replica: string;
}

/**
 * Who may commit writes of a service instance. It changes only by compare-and-set, one epoch at a time; the members of the next epoch come
 * from the epoch before, or have caught up.
 */
export interface GroupRow {
  /** 1, and one more with each change of members or of the synchronising host. */
  readonly epoch: number;
  /** All that must hold a write durably before it is committed. Never empty. */
  readonly members: readonly GroupMember[];
  /** The server that orders and answers; one of `members`. */
  readonly synchronising: string;
  /** With fewer members than this, writes are refused. */
  readonly copiesMin: number;
}

/** The key of a service instance's group; undefined when it would be longer than a key may be. */
export function groupKey(table: string, instance: string): string | undefined {
  const key = `${table}/${instance}`;
  return Buffer.byteLength(key) > limits.keyBytesMax ? undefined : key;
}

/** The service instance that a server belongs to: of "MDS.1.2" it is "MDS.1"; undefined for a key without a dot. */
export function instanceOfServer(server: string): string | undefined {
  const dot = server.lastIndexOf(".");
  return dot > 0 ? server.slice(0, dot) : undefined;
}

/** The table and the service instance that a group's key names; undefined when it names none. Table names hold no slash. */
export function targetOfGroupKey(key: string): { readonly table: string; readonly instance: string } | undefined {
  const slash = key.indexOf("/");
  return slash < 1 || slash === key.length - 1 ? undefined : { table: key.slice(0, slash), instance: key.slice(slash + 1) };
}

/**
 * What follows when servers are given up: the epoch without them, or undefined when nothing does. One always keeps its place, for
 * only a member's data is known to be whole: when all are given up together, the synchronising one.
 */
export function withoutMembers(row: GroupRow, isGone: (server: string) => boolean): GroupRow | undefined {
  const living = row.members.filter(({ server }) => !isGone(server));
  const members = living.length > 0 ? living : row.members.filter(({ server }) => server === row.synchronising);
  const [first] = members;
  if (first === undefined || members.length === row.members.length) return undefined;
  const synchronising = members.some(({ server }) => server === row.synchronising) ? row.synchronising : first.server;
  return { ...row, epoch: row.epoch + 1, members, synchronising };
}

/** Reads a row of `groups`. Throws `tables/bad-group`. */
export function parseGroupRow(value: JsonValue): GroupRow {
  if (!isRecord(value)) throw badGroup("it is not an object");
  const { epoch, members, synchronising, copiesMin } = value;
  if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 1) throw badGroup(`"epoch" is not a whole number from 1`);
  if (!Array.isArray(members) || members.length === 0 || members.length > groupMembersMax)
    throw badGroup(`"members" is not a list of 1 to ${groupMembersMax} servers`);
  const parsed = members.map(parseMember);
  if (new Set(parsed.map(({ server }) => server)).size < parsed.length) throw badGroup("a server is a member twice");
  if (parsed.length > 1 && parsed.some(({ replica }) => replica === anyReplica))
    throw badGroup("whose data counts is left open, among several");
  if (typeof synchronising !== "string" || !parsed.some(({ server }) => server === synchronising))
    throw badGroup(`"synchronising" is not one of the members`);
  if (typeof copiesMin !== "number" || !Number.isInteger(copiesMin) || copiesMin < 1 || copiesMin > groupMembersMax)
    throw badGroup(`"copiesMin" is not a whole number from 1 to ${groupMembersMax}`);
  return Object.freeze({ epoch, members: Object.freeze(parsed), synchronising, copiesMin });
}

function parseMember(value: unknown): GroupMember {
  if (!isRecord(value)) throw badGroup("a member is not an object");
  const { server, replica } = value;
  if (typeof server !== "string" || server.length === 0) throw badGroup(`a member has no "server"`);
  if (typeof replica !== "string" || !/^[0-9a-f]{16}$/.test(replica)) throw badGroup(`a member's "replica" is not 16 hex digits`);
  return Object.freeze({ server, replica });
}

/** Like `parseGroupRow`, but a row that nobody can read is none. */
export function readGroupRow(value: JsonValue): GroupRow | undefined {
  try {
    return parseGroupRow(value);
  } catch {
    return undefined;
  }
}

/** As it is written into the table. */
export function groupRowValue({ epoch, members, synchronising, copiesMin }: GroupRow): JsonValue {
  return { epoch, synchronising, members: members.map(({ server, replica }) => ({ server, replica })), copiesMin };
}

function badGroup(why: string): MusterError {
  return new MusterError("tables/bad-group", `this is not the row of an ordering group: ${why}`, {
    next: "leave the table groups to the servers of the group; `muster promote` changes it by hand",
  });
}
