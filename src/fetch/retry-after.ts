import { parseHttpDate } from "../kernel/index.ts";

/** A day; more is not a pause. */
const pauseMsMax = 86_400_000;

/** Reads Retry-After (RFC 9110, 10.2.3): seconds, or a date. Undefined when it is neither; a date that has passed is 0. */
export function parseRetryAfterMs(text: string | null | undefined, nowUnixMs: number): number | undefined {
  if (text === null || text === undefined) return undefined;
  const trimmed = text.trim();
  if (/^\d{1,9}$/.test(trimmed)) return Math.min(Number(trimmed) * 1000, pauseMsMax);
  const unixMs = parseHttpDate(trimmed);
  return unixMs === undefined ? undefined : Math.min(Math.max(0, unixMs - nowUnixMs), pauseMsMax);
}
