/**
 * The roll: one kind of node that keeps the tables of a fleet. A change is ordered and made durable by the directory
 * before anybody sees it; from there it goes down the tree to everybody whose interest it touches, in one order, without
 * gaps. Who is alive is part of the same order: a program's end is a change like any other.
 *
 * The intuition: a replicated log with one writer, and children that remember how far they are. Rejected: gossip (no
 * order, no barrier), a lease per entry (lookups would depend on clocks), a broker beside the directory (two truths).
 */
export type { EpochStart } from "./epochs.ts";
export type { Range } from "./interest.ts";
export type { ExpiryAction } from "./messages.ts";
export { meterNode } from "./metrics.ts";
export type { NodeOptions, NodePorts } from "./node-options.ts";
export { RollNode } from "./node.ts";
export { type Preset, type RollLimits, type RollPeriods, presets } from "./options.ts";
export type { ProcessProbe } from "./program-watch.ts";
export type { PulseKeeper, PulseTask } from "./pulse-keeper.ts";
export { PulseSender } from "./pulse-sender.ts";
export { type Condition, type RequestOperation, parseConditions, parseOperations } from "./requests.ts";
export type { SessionKind } from "./sessions.ts";
export { SnapshotDecoder, type SnapshotHeader, encodeSnapshot, restoredMeta, storedPosition } from "./snapshot.ts";
export type { Lapse } from "./watch.ts";
