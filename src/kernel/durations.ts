import { MusterError } from "./errors.ts";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads "300ms", "3s", "1.5m", "72h" or "7d" into milliseconds; a bare number is refused, because its unit is a guess. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  const factor = unitMs[match?.[2] ?? ""];
  if (match === null || factor === undefined)
    throw new MusterError("kernel/bad-duration", `"${text}" is not a duration`, {
      next: 'write a number with a unit: "300ms", "3s", "5m", "72h"',
    });
  return Number(match[1]) * factor;
}

/** The shortest exact reading of a duration for people: 300ms, 3s, 1.5m. */
export function formatDurationMs(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs * 10) / 10}ms`;
  if (durationMs < 60_000) return `${Math.round(durationMs / 100) / 10}s`;
  if (durationMs < 3_600_000) return `${Math.round(durationMs / 6000) / 10}m`;
  return `${Math.round(durationMs / 360_000) / 10}h`;
}
