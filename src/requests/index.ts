/**
 * Requests by type: a program asks a service, not an address. The caller's half finds a server in its replica, keeps one link a server
 * and a list of what is pending by server and by route; the server's half gives each request to the handler of its type.
 *
 * The intuition: the roll already knows, within milliseconds, that a server is gone. So a request is not given up when a timer
 * runs out: it is moved when its server is, if twice is harmless. What may have happened and cannot be known is said (`unknown`), never
 * guessed. Rejected: a broker (two more hops, and it fails too), HTTP (twenty times the CPU), retries by timeout (they come late
 * and multiply), a cancel by request number alone (it would kill the next attempt too).
 */
export { AvoidedAddresses } from "./avoided.ts";
export { type CallerPorts, RequestCaller } from "./caller.ts";
export {
  type DeclaredType,
  checkServedTypes,
  declarationKey,
  declarationOf,
  operatorRow,
  parseDeclaration,
  parseDeclarationKey,
  readDeclaration,
  requestTypesTable,
  rowWithoutOperator,
  saysSame,
  servedDeclaration,
  serverRow,
  serviceOf,
} from "./declarations.ts";
export { valueAt } from "./effect-rule.ts";
export type { Gathered, GatheredAnswer, Until } from "./gather.ts";
export { type GatherOptions, Gatherer } from "./gatherer.ts";
export type { MissingMember } from "./membership.ts";
export {
  type EffectRule,
  type RequestBody,
  type RequestContext,
  type RequestEffect,
  type RequestHandler,
  type RequestLimits,
  type RequestOptions,
  type ServedType,
  type ServerLimits,
  type Subset,
  ownTypePrefix,
} from "./options.ts";
export { isPassedOn, passOn } from "./pass-on.ts";
export { RetryBudget } from "./retry-budget.ts";
export { RequestServer, type ServerPorts } from "./server.ts";
export { type TraceContext, type TraceOptions, readTraceText, traceText } from "./trace-context.ts";
export {
  type CarriedTrace,
  type RequestSpan,
  type SendKind,
  type ServedSpan,
  type SpanPlace,
  type Tracer,
  askTraced,
  carriedTrace,
} from "./tracer.ts";
export { type RequestMetrics, type RequestTypeMetrics, noRequests } from "./type-metrics.ts";
export { type DrainResult, type ServedService } from "./served-service.ts";
export { formatSubset, isInSubset } from "./subset.ts";
