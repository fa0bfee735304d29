/**
 * The periods of the probes. All are counted in own ticks of `probeMs`, so a node that was itself late accuses nobody.
 * A route is cut after `missesMax` periods and `burstProbes` bursts without a proven message: at `lan` 3 × 100 + 5 × 40 = 500 ms
 * after the last one, 600 ms after the cable was pulled at the worst (jitter: 5 % more). What that costs and how often it is
 * wrong: `probesPerSecond` and `falseCutChance`.
 */
export interface ProbePeriods {
  /** One probe on every route of a pair in each period, and one answer. */
  readonly probeMs: number;
  /** Silent periods after which a burst decides. */
  readonly missesMax: number;
  /** How many probes a burst has, and how far they are apart. */
  readonly burstProbes: number;
  readonly burstMs: number;
  /** Answered periods, less two for each missed one, after which a route that was cut is valid again. */
  readonly recoverTicks: number;
  /** What a route that is cut again waits before its answers count: doubled with each further cut, up to the maximum. */
  readonly holdTicks: number;
  readonly holdTicksMax: number;
  /** Periods without a cut after which one earlier cut is forgotten. */
  readonly forgiveTicks: number;
  /** A message proves life only if it echoes a number that was sent to its sender within so many own ticks. */
  readonly echoTicks: number;
  /** How long an inquiry waits for those who were asked, and when the same question is asked again. */
  readonly inquiryTicks: number;
  readonly askAgainTicks: number;
}

export type ProbePreset = "lan" | "wan" | "test";

const lan: ProbePeriods = {
  probeMs: 100,
  missesMax: 3,
  burstProbes: 5,
  burstMs: 40,
  recoverTicks: 10,
  holdTicks: 25,
  holdTicksMax: 600,
  forgiveTicks: 600,
  echoTicks: 8,
  inquiryTicks: 4,
  askAgainTicks: 20,
};

export const probePresets: Readonly<Record<ProbePreset, ProbePeriods>> = {
  lan,
  /** For paths of up to 300 ms: five times slower, a fifth of the packets. */
  wan: { ...lan, probeMs: 500, burstMs: 200 },
  test: { ...lan, probeMs: 50, burstMs: 20 },
};

/** Bounds; beyond each the thing is left out, counted, and said once in the log. */
export interface ProbeLimits {
  /** Own addresses, addresses of a peer. The maps of heard routes in a probe have eight bits. */
  readonly routesMax: number;
  readonly childrenMax: number;
  /** Answers a second to all who know the secret and are neither parent nor child (relays, those who were asked to look). */
  readonly strangersPerSecondMax: number;
  /** Answers a second to one child. */
  readonly answersPerSecondMax: number;
  /** Questions about silent addresses that are open at a time; others wait for the next tick. */
  readonly inquiriesMax: number;
  /** Addresses that this node looks at for its parent at a time. */
  readonly errandsMax: number;
}

export const probeLimits: ProbeLimits = {
  routesMax: 8,
  childrenMax: 10_000,
  strangersPerSecondMax: 2000,
  answersPerSecondMax: 400,
  inquiriesMax: 256,
  errandsMax: 64,
};

/**
 * How likely a window in which both ends live ends in a false cut, when each packet is lost with the chance `loss`, independently. A
 * silent period costs one lost packet (the end that hears nothing probes by itself), a silent burst probe costs a round trip,
 * and the periods go on during the burst. At `lan` and 10 % loss: 2.5 × 10⁻⁹; at 20 %: 2 × 10⁻⁶.
 */
export function falseCutChance(periods: ProbePeriods, loss: number): number {
  const roundTripLost = 1 - (1 - loss) ** 2;
  const periodsInBurst = Math.floor((periods.burstProbes * periods.burstMs) / periods.probeMs);
  return loss ** (periods.missesMax + periodsInBurst) * roundTripLost ** periods.burstProbes;
}

/** Datagrams a second between a parent and one child, both directions together, while nothing fails. */
export function probesPerSecond(periods: ProbePeriods, routes: number): number {
  return (2 * routes * 1000) / periods.probeMs;
}
