/** What calls took, and what they cost. */
export interface Figures {
  readonly calls: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Requests that a server began, beyond one for each call, as a share of the calls. */
  readonly extra: number;
  /** The share of calls that were answered within a second. */
  readonly withinSecond: number;
}

/** `tookMs`: Infinity for a call that failed. */
export function figuresOf(tookMs: readonly number[], executed: number): Figures {
  const ascending = Float64Array.from(tookMs).sort();
  const calls = ascending.length;
  return {
    calls,
    p50Ms: quantile(ascending, 0.5),
    p99Ms: quantile(ascending, 0.99),
    p999Ms: quantile(ascending, 0.999),
    extra: executed / calls - 1,
    withinSecond: ascending.filter((ms) => ms <= 1000).length / calls,
  };
}

/** Nearest rank; NaN of nothing. */
export function quantile(ascending: ArrayLike<number>, share: number): number {
  if (ascending.length === 0) return Number.NaN;
  return ascending[Math.min(ascending.length - 1, Math.max(0, Math.ceil(share * ascending.length) - 1))] ?? Number.NaN;
}
