/**
 * For tests, ours and users': a whole fleet in one thread on virtual time, repeated by its seed. `SimWorld` is time and the
 * order of events, `SimNode` a program that can be paused, suspended, crashed and restarted, `SimNetwork` connections and
 * datagrams with the faults of the real ones, `SimDisk` a store that outlives its program, `SimFleet` a directory, relays,
 * agents and programs on all of these. All stand behind the ports that the product takes from the system, so what runs
 * here is the product. The conformance suites hold simulated and real adapters to the same promises. Rejected: patched
 * globals (they leak into other tests), a step function written by the test for each message (it tests the test's idea of
 * the order).
 */
export type { EventKind, EventOwner, SimEvent, SimWorldOptions } from "./sim-world.ts";
export { SimDisk, type SimDiskCopy, type SimDiskOptions } from "./sim-disk.ts";
export { SimFleet, type SimFleetOptions, type SimMemberOptions } from "./sim-fleet.ts";
export type { LinkOptions } from "./sim-links.ts";
export type { SimMember } from "./sim-member.ts";
export { SimNetwork, type SimNetworkOptions } from "./sim-network.ts";
export { SimClock } from "./sim-clock.ts";
export { type CrashManner, SimLife, SimNode, type SimNodeOptions } from "./sim-node.ts";
export { type SimLogLine, SimTelemetry } from "./sim-telemetry.ts";
export { SimWorld } from "./sim-world.ts";
