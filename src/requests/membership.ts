import type { MusterError } from "../kernel/index.ts";
import {
  type Entry,
  type Replica,
  type Where,
  groupOf,
  instanceOfServer,
  isRouteValue,
  matches,
  membersOf,
  parseState,
  parseText,
  stateKey,
  tableNumbers,
} from "../tables/index.ts";
import { type Declaration, declarationOf, serviceOf } from "./declarations.ts";
import { serverGone } from "./errors.ts";
import { isInSubset, isList, names } from "./subset.ts";

/** A server that cannot answer, and why. */
export interface MissingMember {
  readonly server: string;
  readonly error: MusterError;
}

/** The servers that answer a type, as one replica has them at one moment. */
export interface Membership {
  readonly declaration: Declaration;
  /** In key order. */
  readonly servers: readonly string[];
  /** Those of them that can be asked. */
  readonly asked: readonly string[];
  /** The others: named by the subset's list, and not to be asked. */
  readonly missing: readonly MissingMember[];
}

/**
 * Who answers requests of a type for `key`: the servers below it that are in the type's subset. A list names them whatever state they are
 * in, so one of them that is gone is missing; where there is no list, those count that are there. `table` is a plain name.
 */
export function membershipOf(replica: Replica, table: string, key: string, type: string, where: Where | undefined): Membership {
  const rows = serversBelow(replica, table, key);
  const service = serviceOf(rows[0]?.key ?? key);
  const declaration = declarationOf(replica, service, type);
  const { subset } = declaration;
  const found = rows.filter(
    ({ key: instance, value }) =>
      isRouteValue(value) &&
      (where === undefined || matches(value, where)) &&
      (subset === undefined || isInSubset(subset, { instance, host: value.host, port: value.port, data: value.data })),
  );
  const reasons = new Map(found.map((row) => [row.key, absenceOf(replica, row)]));
  if (subset !== undefined && isList(subset)) {
    for (const item of subset) if (isUnknownServer(item, key, rows, service)) reasons.set(item, "it is not on the roll");
  } else for (const [server, reason] of reasons) if (reason !== undefined) reasons.delete(server);
  const servers = [...reasons.keys()].toSorted();
  return {
    declaration,
    servers,
    asked: servers.filter((server) => reasons.get(server) === undefined),
    missing: servers.flatMap((server) => {
      const reason = reasons.get(server);
      return reason === undefined ? [] : [{ server, error: serverGone(server, reason) }];
    }),
  };
}

/** An item of a list that names a server of this key, of which there is no row. */
function isUnknownServer(item: string, key: string, rows: readonly Entry[], service: string): boolean {
  if (!names(service, item) || !(names(key, item) || names(item, key))) return false;
  return !rows.some(({ key: instance }) => names(item, instance));
}

/** Rows of servers: the key's own, those that its row lists, or all below it. Of an ordering group its members only. */
function serversBelow(replica: Replica, table: string, key: string): readonly Entry[] {
  const definition = replica.table(table);
  if (definition === undefined) return [];
  const { number } = definition;
  const own = key === "" ? undefined : replica.entry(number, key);
  if (own !== undefined && isRouteValue(own.value)) return [own];
  const listed = own === undefined ? undefined : membersOf(own.value);
  const prefix = key === "" || key.endsWith(".") ? key : `${key}.`;
  const keys = listed ?? replica.rowsBelow(number, prefix).map((row) => row.key);
  return keys.flatMap((server) => {
    const entry = replica.entry(number, server);
    return entry !== undefined && isRouteValue(entry.value) && holdsState(replica, table, server) ? [entry] : [];
  });
}

function holdsState(replica: Replica, table: string, server: string): boolean {
  if (replica.entryCount(tableNumbers.groups) === 0) return true;
  const instance = instanceOfServer(server);
  const group = instance === undefined ? undefined : groupOf(replica, table, instance);
  return group === undefined || group.members.some((member) => member.server === server);
}

/** Why a server is not asked; undefined when it is. */
function absenceOf(replica: Replica, { table, key, value, valid }: Entry): string | undefined {
  if (!valid) return "it is invalid";
  const host = isRouteValue(value) ? value.host : "";
  return isDraining(replica, table, key) || isDraining(replica, "hosts", host) ? "it is draining" : undefined;
}

function isDraining(replica: Replica, table: string, key: string): boolean {
  if (replica.entryCount(tableNumbers.states) === 0) return false;
  const place = stateKey(table, key);
  const row = place === undefined ? undefined : replica.row(tableNumbers.states, place);
  if (row === undefined || !row.flag) return false;
  try {
    return parseState(parseText(row.text)).state === "draining";
  } catch {
    // Written by hand, or by a version that knows more states.
    return false;
  }
}
