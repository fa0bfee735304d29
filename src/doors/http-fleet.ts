import type { JsonValue, Revision } from "../kernel/index.ts";

/** One row as HTTP shows it: the shape of `search --json`. */
export interface EntryJson {
  readonly table: string;
  readonly key: string;
  readonly value: JsonValue;
  readonly valid: boolean;
  /** "epoch.sequence". */
  readonly revision: string;
  readonly owner: string | null;
}

/** One event as HTTP shows it: the shape of `watch --json`. */
export interface EventJson {
  readonly event: "Add" | "Delete" | "Subscribe";
  readonly table: string;
  readonly entry?: EntryJson;
}

export interface HttpOperation {
  readonly op: "add" | "delete" | "set-valid";
  readonly table: string;
  readonly key: string;
  readonly value?: JsonValue;
  readonly valid?: boolean;
  readonly force?: boolean;
}

export interface HttpCondition {
  readonly table: string;
  readonly key: string;
  /** "epoch.sequence" or "absent". */
  readonly revision: string;
}

/**
 * What the HTTP door needs of a node's roll. Answers are JSON already, rendered by the same code as the CLI's `--json`, so
 * that the two cannot differ. `fleet/door-fleet.ts` makes one of a `Fleet`.
 */
export interface HttpFleet {
  readonly position: Revision;
  /** Whether lookups answer from a loaded replica of an attached node; if not, why not. */
  readiness(): { readonly ready: true } | { readonly ready: false; readonly reason: string };
  /** The queries of `fleet/queries.ts`: tables, search, get, find, find-all, find-partition, hosts, status, why, doctor. */
  query(verb: string, args: JsonValue): JsonValue;
  change(
    operations: readonly HttpOperation[],
    options: { readonly ifRevision?: readonly HttpCondition[]; readonly coherent?: boolean; readonly signal?: AbortSignal },
  ): Promise<Revision>;
  /** Binds the entry to this agent's watch; `value` is written first when there is no such entry. */
  heartbeat(
    table: string,
    key: string,
    options: { readonly maxPeriodMs: number; readonly onExpiry?: JsonValue; readonly value?: JsonValue },
  ): Promise<void>;
  /**
   * Calls `listener` for each event of the table, synchronously with the change that caused it, together with the position
   * that the change led to. Throws `tables/unknown-table`.
   */
  subscribe(table: string, listener: (event: EventJson, position: Revision) => void): { cancel(): void };
}
