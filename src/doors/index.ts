/**
 * Doors: interfaces for programs that do not use the library. HTTP (queries, changes, heartbeats, watch as server-sent
 * events), metrics and logs. A door declares what it needs of a fleet and knows nothing of how a node works.
 * Rejected: gRPC (a generator in every client; a link of our own is faster and HTTP reaches everybody else).
 */
export type { EntryJson, EventJson, HttpCondition, HttpFleet, HttpOperation } from "./http-fleet.ts";
