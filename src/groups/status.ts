import type { MusterError } from "../kernel/index.ts";
import type { Position } from "./ports.ts";

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
