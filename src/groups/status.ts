import type { MusterError } from "../kernel/index.ts";
import type { GroupRow } from "../tables/index.ts";
import { lost, olderRow, tooFewCopies } from "./errors.ts";
import type { GroupLog } from "./group-log.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Position } from "./ports.ts";
import type { Reign } from "./reign.ts";
import type { RowStanding } from "./standing.ts";
import type { WaitingRequests } from "./waiting.ts";

/**
 * `outside`: not in the row, or with another replica; tries to join. `lost`: the row's only member is this server with data that it no
 * longer has: nothing goes on before somebody says so. `member`: holds copies. `taking-over`: synchronising host that makes all
 * members equal. `serving`: synchronising host that orders.
 */
export type GroupRole = "closed" | "outside" | "lost" | "member" | "taking-over" | "serving";

/** What a member says about itself, for people and tests. */
export interface GroupStatus {
  readonly server: string;
  /** Identity of this copy of the data; 16 hex digits. */
  readonly replica: string;
  readonly role: GroupRole;
  /** Of the row as this node knows it; 0 without one. */
  readonly epoch: number;
  /** The highest that this member promised, durably. */
  readonly promised: number;
  /** The last entry that is committed and installed here. */
  readonly committed: Position;
  /** Of the log: the last dropped index, the last index, and the last durable one. */
  readonly logBase: number;
  readonly logEnd: number;
  readonly logDurable: number;
  readonly queued: number;
  /** Callers, and outcomes that are kept for them. */
  readonly leases: number;
  readonly outcomes: number;
  /** Servers that catch up. */
  readonly joiners: readonly string[];
  /** Why this member does not do what it should; undefined while it does. */
  readonly trouble: MusterError | undefined;
}

/** What a status is read from. */
export interface StatusParts {
  readonly server: string;
  readonly isOpen: boolean;
  readonly row: GroupRow | undefined;
  readonly standing: RowStanding;
  readonly reign: Reign | undefined;
  readonly log: GroupLog;
  readonly waiting: WaitingRequests;
  readonly outcomes: Outcomes;
  /** Of this server's part while another one orders. */
  readonly trouble: MusterError | undefined;
}

export function statusOf(parts: StatusParts): GroupStatus {
  const { server, row, reign, log, waiting, outcomes } = parts;
  const { base, end } = log.entries;
  return {
    server,
    replica: log.replica,
    role: roleOf(parts),
    epoch: row?.epoch ?? 0,
    promised: log.promisedDurable,
    committed: log.installed,
    logBase: base.index,
    logEnd: end,
    logDurable: log.durable,
    queued: waiting.size,
    leases: outcomes.leases,
    outcomes: outcomes.count,
    joiners: reign?.joiners ?? [],
    trouble: troubleOf(parts),
  };
}

function roleOf({ isOpen, standing, reign }: StatusParts): GroupRole {
  if (!isOpen) return "closed";
  switch (standing) {
    case "lost":
    case "member":
      return standing;
    case "synchronising":
      return reign?.isServing === true ? "serving" : "taking-over";
    case "chosen":
      return "taking-over";
    default:
      return "outside";
  }
}

function troubleOf({ log, standing, row, trouble }: StatusParts): MusterError | undefined {
  if (log.trouble !== undefined) return log.trouble;
  if (standing === "lost") return lost();
  if (row !== undefined && standing === "synchronising") {
    if (log.promised > row.epoch) return olderRow(row.epoch, log.promised);
    if (row.members.length < row.copiesMin) return tooFewCopies(row.members.length, row.copiesMin);
  }
  return trouble;
}
