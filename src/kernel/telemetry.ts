import type { JsonValue } from "./json.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Where a module tells what happened. Names are stable words ("parent-lost"), fields are JSON. */
export interface Log {
  log(level: LogLevel, event: string, fields?: Readonly<Record<string, JsonValue>>): void;
}

export type Labels = Readonly<Record<string, string>>;

/** Where a module counts. The names of metrics belong to the module that emits them (`metrics.ts` in each folder). */
export interface Meter {
  /** Adds to a counter. */
  count(name: string, by?: number, labels?: Labels): void;
  /** Registers a gauge that is read when somebody looks. */
  gauge(name: string, read: () => number, labels?: Labels): void;
  /** Adds one observation (milliseconds, bytes, …) to a histogram. */
  observe(name: string, value: number, labels?: Labels): void;
}

export interface Telemetry extends Log, Meter {}

/** Keeps nothing: for tests and for programs that do not ask. */
export const silentTelemetry: Telemetry = Object.freeze({
  log: () => {},
  count: () => {},
  gauge: () => {},
  observe: () => {},
});
