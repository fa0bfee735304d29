import { type Clock, MusterError, type Random, type Telemetry, silentTelemetry } from "../kernel/index.ts";
import type { FindOptions } from "../find/index.ts";

/** What one client is set to, for all of its requests. */
export interface FetchOptions {
  /** From the call to the head of the answer, over all attempts; default 10,000 ms. A body may take longer: pass a signal to bound it. */
  readonly deadlineMs?: number;
  /** Attempts of one request, the first included; default 6. */
  readonly attemptsMax?: number;
  /** How long a request waits, within its deadline, while the roll names no server for its key; default 2,000 ms. */
  readonly waitForServerMs?: number;
  /** Requests whose answer is not complete; above it a call fails with `fetch/too-many`. Default 10,000. */
  readonly inFlightMax?: number;
  /**
   * Methods that may be sent twice besides the safe ones (GET, HEAD, OPTIONS, TRACE). Default PUT and DELETE, which HTTP calls
   * idempotent; leave them out when your servers do not keep to that.
   */
  readonly repeatableMethods?: readonly string[];
  readonly telemetry?: Telemetry;
}

/** What one request says for itself: `fetch(url, { muster: { … } })`, or a field of undici's options. */
export interface FleetRequestOptions {
  /** Whether the request may be sent twice; default by its method. */
  readonly repeatable?: boolean;
  readonly deadlineMs?: number;
  /** Which servers of the key, and in which order. */
  readonly find?: FindOptions;
  /**
   * The place in a trace that the request belongs to (W3C Trace Context), for its headers, unless these name one. Default: where the program
   * is at present, if its fleet was connected with `openTelemetry`. Spans of HTTP are left to the application's own instruments.
   */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** The world, as far as these clients see it. */
export interface FetchPorts {
  readonly clock: Clock;
  /** For what may be left undone when the program ends: its timers should not keep the process. Default: `clock`. */
  readonly background?: Clock;
  readonly random: Random;
}

export interface Settings {
  readonly deadlineMs: number;
  readonly attemptsMax: number;
  readonly waitForServerMs: number;
  readonly inFlightMax: number;
  readonly repeatableMethods: ReadonlySet<string>;
  readonly telemetry: Telemetry;
}

const hourMs = 3_600_000;

/** Throws `fetch/bad-option`. */
export function parseSettings(options: FetchOptions): Settings {
  return {
    deadlineMs: parseDeadlineMs(options.deadlineMs ?? 10_000),
    attemptsMax: within("attemptsMax", options.attemptsMax ?? 6, 1, 100),
    waitForServerMs: within("waitForServerMs", options.waitForServerMs ?? 2000, 0, hourMs),
    inFlightMax: within("inFlightMax", options.inFlightMax ?? 10_000, 1, 1_000_000),
    repeatableMethods: new Set((options.repeatableMethods ?? ["PUT", "DELETE"]).map((method) => method.toUpperCase())),
    telemetry: options.telemetry ?? silentTelemetry,
  };
}

export function parseDeadlineMs(deadlineMs: number): number {
  return within("deadlineMs", deadlineMs, 1, hourMs);
}

function within(name: string, value: number, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new MusterError("fetch/bad-option", `${name} is ${value}, and not within ${min} … ${max}`, { next: `set another ${name}` });
}

const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Safe methods change nothing at the server (RFC 9110, 9.2.1), so that running one in vain is no effect. */
export function isSafe(method: string): boolean {
  return safeMethods.has(method);
}
