/**
 * The routes: who reaches whom, over which of its addresses, in which direction. The intuition: a small keyed message on every route
 * in every period, which proves life because it echoes what we sent a moment ago, and says what its sender hears; silence is
 * looked into by others before it becomes an accusation. `reach` and `verdict` decide, purely; `Prober` is the thin shell.
 * Rejected: probes between all pairs (the square of the fleet), TCP keep-alive (minutes, and one route only), gossip (seconds),
 * believing one observer.
 */
export {
  type ProbeLimits,
  type ProbePeriods,
  type ProbePreset,
  falseCutChance,
  probePresets,
  probesPerSecond,
} from "./options.ts";
export type { ReachState } from "./path.ts";
export type { Position } from "./post.ts";
export { Prober, type ProberOptions } from "./prober.ts";
export type { Attachment, ProbeReports, ProbedChild, ReachRow } from "./reports.ts";
