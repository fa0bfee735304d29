/**
 * Doors: interfaces for programs that do not use the library. HTTP (queries, changes, heartbeats, watch as server-sent
 * events) and metrics. A door declares what it needs of a fleet and knows nothing of how a node works.
 * Rejected: gRPC (a generator in every client; a link of our own is faster and HTTP reaches everybody else).
 */
export type { EntryJson, EventJson, HttpCondition, HttpFleet, HttpOperation } from "./http-fleet.ts";
export { type HttpDoor, type HttpDoorOptions, openHttpDoor } from "./open-http-door.ts";
export { PrometheusMeter } from "./prometheus-meter.ts";
