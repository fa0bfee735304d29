import { type JsonValue, type MusterError, formatRevision } from "../kernel/index.ts";
import { type Listener, formatAddress } from "../transport/index.ts";
import { type StateName, tableNumbers } from "../tables/index.ts";
import type { Children } from "./children.ts";
import type { Directory } from "./directory.ts";
import type { RollNode } from "./node.ts";
import type { ProgramWatch } from "./program-watch.ts";

export interface StatusParts {
  readonly node: RollNode;
  readonly directory: Directory | undefined;
  readonly epoch: number;
  readonly parentError: MusterError | undefined;
  readonly downlinks: number;
  readonly children: Children;
  readonly listeners: readonly Listener[];
  readonly openChanges: number;
  readonly session: number;
  readonly programs: ProgramWatch;
  readonly settling: number;
}

/** What `muster status` shows of a node: JSON, names are stable. */
export function nodeStatus(parts: StatusParts): { readonly [name: string]: JsonValue } {
  const { node, directory, children, programs } = parts;
  const { role, name, routes } = node.options;
  const { parent } = node;
  return {
    role,
    name,
    fleet: node.fleet,
    position: formatRevision(node.position),
    epoch: parts.epoch,
    ready: node.isReady,
    detached: node.detached,
    // Before the first tick nobody knows how old the replica is.
    ageMs: Number.isFinite(node.ageMs) ? Math.round(node.ageMs) : null,
    entries: node.replica.size,
    parent: parent === undefined ? null : { ...parent },
    parentError: parent === undefined ? (parts.parentError?.toJSON() ?? null) : null,
    children: parts.downlinks,
    childrenBehind: [...children].filter((child) => !child.synced || child.load !== undefined).length,
    listen: parts.listeners.map((listener) => formatAddress(listener.address)),
    routes: [...(routes ?? [])],
    plaintext: node.options.plaintext === true,
    session: parts.session,
    openChanges: parts.openChanges,
    watched: programs.watched,
    unwatched: programs.unwatched,
    // Whom lookups avoid because too many fell silent together: as this node knows it, and at most a hundred.
    suspectHosts: hostsInState(node, "suspect").slice(0, 100),
    ring: { changes: node.log.length, bytes: node.log.bytes },
    ...(directory === undefined ? {} : directoryStatus(directory, parts.settling)),
  };
}

function hostsInState(node: RollNode, state: StateName): string[] {
  // As the directory writes them; nobody else says this state.
  const wanted = `{"state":"${state}"`;
  const rows = node.replica.rowsBelow(tableNumbers.states, "hosts/");
  return rows.filter(({ text }) => text.startsWith(wanted)).map(({ key }) => key.slice("hosts/".length));
}

function directoryStatus(directory: Directory, settling: number): { readonly [name: string]: JsonValue } {
  const { attendance, authority, expiry } = directory;
  return {
    sessions: authority?.sessions.size ?? 0,
    attached: attendance.size - attendance.leavers - attendance.givenUp,
    left: attendance.leavers,
    givenUp: attendance.givenUp,
    settling,
    // Hosts whose silence is held back, because too many fell silent together; and whether nobody at all is heard.
    guard: { held: expiry.held.slice(0, 100).map((hold) => ({ ...hold })), isolated: expiry.isolated },
    store: authority?.trouble === undefined ? "ok" : authority.trouble.message,
  };
}
