import type { JsonValue } from "../kernel/index.ts";
import type { CompleteRoute, FindOptions } from "../find/index.ts";
import type { TraceContext } from "../requests/index.ts";
import type { Entry, FleetEvent } from "../tables/index.ts";

/** What these clients need of a fleet: lookups in a replica, its events, and small writes to one table. A `Fleet` fits. */
export interface FetchFleet {
  /** The host that this program runs on; undefined without an agent. */
  readonly host: string | undefined;
  tables(): readonly { readonly name: string; readonly symbol?: string; readonly mapping?: string }[];
  get(table: string, key: string): Entry | undefined;
  search(table: string, prefix?: string): readonly Entry[];
  find(table: string, key: string, options?: FindOptions): CompleteRoute | undefined;
  findAll(table: string, key: string, options?: FindOptions): readonly CompleteRoute[];
  subscribe(options: { readonly tables: readonly string[] }, handler: (event: FleetEvent) => void): { cancel(): void };
  beforeSettled(hold: () => Promise<unknown> | undefined): { cancel(): void };
  /** The place in a trace at which the program is at present. */
  activeTrace?(): TraceContext | undefined;
  change(
    operations: readonly (
      | { readonly op: "add"; readonly table: string; readonly key: string; readonly value: JsonValue }
      | { readonly op: "delete"; readonly table: string; readonly key: string }
    )[],
    options: { readonly ifRevision: readonly { readonly table: string; readonly key: string; readonly revision: string }[] },
  ): Promise<unknown>;
}
