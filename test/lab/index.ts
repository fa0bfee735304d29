/**
 * The fault laboratory: one language for experiments (`scenario.ts`), two places to run them in. `namespaces/` has real processes
 * on hosts that are network namespaces; `simulated/` the product on virtual time. Both leave a `RunRecord`, which `judge` and
 * `timeline` read without knowing where it was made. By hand: `npm run lab -- SCENARIO`.
 */
export { Faults } from "./faults.ts";
export { Load, type Ask, type LoadPorts } from "./load.ts";
export { LabProcess, type Cast, type Program, Stage, type Surroundings, Wires, type WiresOptions } from "./namespaces/index.ts";
export { debianPackages, lackOfNamespaces, musterCast, newRunId, removeLeftOvers, removeRun, runInNamespaces } from "./namespaces/index.ts";
export type { Deed, RunRecord, Sighting } from "./record.ts";
export type { Action, FleetPlan, HostPlan, LoadPlan, Scenario, Step } from "./scenario.ts";
export { scenarios } from "./scenarios/index.ts";
export { runSimulated } from "./simulated/index.ts";
export { type LoadReport, LoadTally } from "./tally.ts";
export { loadText, timeline, timelineText, verdictText } from "./timeline.ts";
export { type Verdict, judge, toldAfter } from "./verdict.ts";
