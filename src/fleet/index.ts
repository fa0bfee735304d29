/**
 * The handle a program holds on its fleet: a live replica with synchronous lookups, a writer, and what the program keeps
 * on the roll. Queries answer the same questions for programs without a replica, as JSON.
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
  FleetMetrics,
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
} from "./fleet.ts";
export type {
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
  ServedMember,
  WriteOutcome,
} from "./group.ts";
export { UnknownOutcome } from "./group-errors.ts";
export type { Consistency } from "./group-wire.ts";
export { FleetHandle } from "./handle.ts";
export { prometheusText } from "./metrics-text.ts";
export { type OpenTelemetryApi, OpenTelemetrySpans } from "./open-telemetry.ts";
export { NodeProbes, type NodeProbesPorts } from "./node-probes.ts";
export { type QueryView, answerQuery } from "./queries.ts";
export { QueryAnswers } from "./query-answers.ts";

export { type EntryJson, type EventJson, renderEvent } from "./render.ts";
export { DoorFleet, type DoorSource } from "./door-fleet.ts";
