/**
 * Find server: from a key to a server that can be called, over one replica, without the network. Keys are read by segments
 * (`MDS` ⊃ `MDS.1` ⊃ `MDS.1.1`), partitions are mapped first, policies choose among the instances of a service.
 *
 * The intuition: rows change a thousand times less often than they are asked for, so an answer is made once, frozen, and
 * handed out until something that it came from changes. Rejected: a cache with a time limit, because what a change touches
 * is known exactly.
 */
export { Finder, type FinderOptions } from "./finder.ts";
export { parsePolicy } from "./policies.ts";
export type { CompleteRoute, FindOptions, FindPolicy, RouteGroup } from "./route.ts";
