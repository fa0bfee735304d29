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
  Consistency,
  FleetEvent,
  FleetMetrics,
  GroupExecuted,
  GroupHooks,
  GroupOptions,
  GroupReadContext,
  GroupReadType,
  GroupRequest,
  GroupRequestOptions,
  GroupServeOptions,
  GroupType,
  GroupWriteContext,
  GroupWriteType,
  HeartbeatOptions,
  Operation,
  ServeOptions,
  ServedEntry,
  ServedMember,
  ServerRoute,
  SettleResult,
  SubscribeOptions,
  Subscription,
  TableOptions,
  Where,
  WriteOutcome,
} from "./fleet/index.ts";
export { type OpenTelemetryApi, UnknownOutcome, prometheusText } from "./fleet/index.ts";
export type { GroupStatus, KeyedReader, KeyedTransaction, StateChange, StateRow } from "./groups/index.ts";
export { type Effect, type JsonValue, MusterError, type Revision, type Telemetry } from "./kernel/index.ts";
export type { FetchOptions, FleetFetch, FleetInterceptor, FleetRequestInit, FleetRequestOptions } from "./fetch/index.ts";
export type {
  EffectRule,
  GatherOptions,
  Gathered,
  GatheredAnswer,
  MissingMember,
  RequestBody,
  RequestContext,
  RequestEffect,
  RequestHandler,
  RequestMetrics,
  RequestOptions,
  RequestTypeMetrics,
  ServedType,
  Subset,
  TraceContext,
} from "./requests/index.ts";
export { type ConnectOptions, connect } from "./main/connect.ts";
export { fleetDispatcher, fleetFetch } from "./main/http-clients.ts";
