/**
 * Muster's public library. `connect` gives a program a live replica of its fleet's roll; everything else is reached from
 * there. Simulated clocks, networks and disks for your own tests are in `@musterhq/muster/testing`.
 */
export type {
  ChangeOptions,
  CompleteRoute,
  DrainOptions,
  DrainResult,
  Entry,
  Expiry,
  FindOptions,
  FindPolicy,
  Fleet,
  FleetEvent,
  HeartbeatOptions,
  Operation,
  ServeOptions,
  ServedEntry,
  ServerRoute,
  SettleResult,
  SubscribeOptions,
  Subscription,
  TableOptions,
  Where,
} from "./fleet/index.ts";
export { type Effect, type JsonValue, MusterError, type Revision, type Telemetry } from "./kernel/index.ts";
export type { FetchOptions, FleetFetch, FleetInterceptor, FleetRequestInit, FleetRequestOptions } from "./fetch/index.ts";
export type { RequestBody, RequestContext, RequestEffect, RequestHandler, RequestOptions, ServedType } from "./requests/index.ts";
export { type ConnectOptions, connect } from "./main/connect.ts";
export { fleetDispatcher, fleetFetch } from "./main/http-clients.ts";
