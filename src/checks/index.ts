/**
 * Health checks: whether a program that knows nothing of the roll answers. Parsing and judging (`stepCheck`) are pure; only
 * the runner touches the world. The keeper applies the rows of the table `checks` that belong to one agent's host.
 * Rejected: checks from other hosts (a check says "the program answers here"; reachability is the routes' business).
 */
export { type Check, type CheckPlace, formatCheck, parseCheck } from "./check.ts";
export { CheckKeeper, type CheckKeeperOptions, type CheckedFleet } from "./check-keeper.ts";
export { CheckLoop, type CheckLoopOptions, type CheckLoopPorts } from "./check-loop.ts";
export type { CheckResult, CheckRunner } from "./check-runner.ts";
export { type CheckState, type CheckStep, type CheckThresholds, checkUnknown, stepCheck } from "./check-step.ts";
export { NodeCheckRunner } from "./node-check-runner.ts";
