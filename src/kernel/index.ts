/**
 * The kernel: what every other room stands on. Ports to the world (clock, random, telemetry), the base of all errors,
 * revisions, durations and limits. Nothing here knows what a roll is. System adapters live beside their ports and are
 * built only in `main/`.
 */
export { type Clock, type Timer, every, sleep } from "./clock.ts";
export { formatDurationMs, parseDurationMs } from "./durations.ts";
export { type Effect, type MusterErrorOptions, InvariantError, MusterError, assert, errorOf, parseMusterError } from "./errors.ts";
export { formatInstant, parseHttpDate } from "./instants.ts";
export { type JsonValue, deepFreeze, isRecord } from "./json.ts";
export * as limits from "./limits.ts";
export { type Random, jitter, randomBelow } from "./random.ts";
export { type Revision, compareRevision, formatRevision, parseRevision, revisionZero } from "./revision.ts";
export { SeededRandom } from "./seeded-random.ts";
export { SystemClock } from "./system-clock.ts";
export { SystemRandom } from "./system-random.ts";
export { type Labels, type Log, type LogLevel, type Meter, type Telemetry, silentTelemetry } from "./telemetry.ts";
