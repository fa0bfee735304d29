import type { Check } from "./check.ts";

/** What one look at a program said. `reason` is short and fit to be shown in `why`. */
export interface CheckResult {
  readonly healthy: boolean;
  readonly reason: string;
}

/** The world as checks need it. Never rejects: a check that cannot be made is unhealthy, with the reason. */
export interface CheckRunner {
  /** Ends within `timeoutMs`, or as soon as `signal` is aborted. */
  run(check: Check, timeoutMs: number, signal: AbortSignal): Promise<CheckResult>;
}
