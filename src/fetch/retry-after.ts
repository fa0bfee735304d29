/** A day; more is not a pause. */
const pauseMsMax = 86_400_000;

/** Reads Retry-After (RFC 9110, 10.2.3): seconds, or a date. Undefined when it is neither; a date that has passed is 0. */
export function parseRetryAfterMs(text: string | null | undefined, nowUnixMs: number): number | undefined {
  if (text === null || text === undefined) return undefined;
  const trimmed = text.trim();
  if (/^\d{1,9}$/.test(trimmed)) return Math.min(Number(trimmed) * 1000, pauseMsMax);
  // Only the date forms of HTTP begin with the name of a day; Date.parse alone would take almost anything.
  if (!/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(trimmed)) return undefined;
  const unixMs = Date.parse(trimmed);
  return Number.isNaN(unixMs) ? undefined : Math.min(Math.max(0, unixMs - nowUnixMs), pauseMsMax);
}
