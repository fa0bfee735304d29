/**
 * HTTP clients that know the roll: a `fetch` and an interceptor for undici. Addresses say whom to ask (`muster://TABLE/KEY/path`),
 * the replica says where that is now, and what is safe is sent again at once when a server fails: because its connection
 * did, because it asked for patience, or because the roll says so while an answer is still awaited.
 *
 * The intuition: each request runs a course of attempts (`Course`); the roll, the clock, the caller and the connection each
 * may end an attempt, and one place decides what follows. Rejected: retries inside a connection pool (it does not know
 * what was sent), redirects that the client follows unseen (the same), a proxy beside the program (one more thing that fails),
 * and looking at messages of errors.
 */
export { type Dispatch, type DispatchHandler, type FleetInterceptor, fleetInterceptor } from "./fleet-dispatcher.ts";
export { type FleetFetch, type FleetRequestInit, createFleetFetch } from "./fleet-fetch.ts";
export type { FetchFleet } from "./fetch-fleet.ts";
export type { FetchOptions, FetchPorts, FleetRequestOptions } from "./options.ts";
