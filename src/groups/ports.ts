import type { Clock, MusterError, Random, Telemetry } from "../kernel/index.ts";
import type { Store } from "../storage/index.ts";
import type { GroupRow, PartitionRow } from "../tables/index.ts";
import type { SlotPart, SlotWanted } from "./slot-step.ts";

/** What one member of an ordering group needs of the world. */
export interface GroupPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  /** Of this group alone. Opened and closed by the member. */
  readonly store: Store;
  readonly roll: GroupRoll;
  /** To another server of the group. May be lost, delayed, doubled and overtaken; the protocol repeats what matters. */
  readonly send: (server: string, message: Uint8Array) => void;
  readonly machine: GroupMachine;
  /** `readSession` may say "here" where it said "behind", and no entry was installed. */
  readonly readable?: () => void;
  /** This server is not let into its group, and why; said again now and then. Undefined: no longer so. */
  readonly apart?: (why: MusterError | undefined) => void;
  /** Where the groups of a service share its keys: the map, and the other groups. */
  readonly partition?: GroupPartition | undefined;
}

/** The map of the service as this node's replica has it, and the way to its other groups. */
export interface GroupPartition {
  /** The service instance whose group this is. */
  readonly instance: string;
  /** Undefined while there is none, or none that can be read. */
  map(): PartitionRow | undefined;
  /** Compare-and-set, as with the group's own row. */
  change(from: PartitionRow, next: PartitionRow): Promise<void>;
  /** Called after each change of the map. Returns what ends it. */
  observe(changed: () => void): () => void;
  /**
   * Asks another group for a part of a slot. Resolves with undefined when nobody there can give it now, and always within a
   * bounded time.
   */
  fetch(instance: string, wanted: SlotWanted): Promise<SlotPart | undefined>;
}

/** The group's row as this node's replica has it, and the way to change it. */
export interface GroupRoll {
  /** Undefined while there is none, or none that can be read. */
  row(): GroupRow | undefined;
  /**
   * Compare-and-set: `next` takes the place of `from` (undefined: of nothing), or the promise rejects and nothing has changed,
   * or nobody knows (`effect` "maybe"): then the row tells. Resolves when this replica shows it.
   */
  change(from: GroupRow | undefined, next: GroupRow): Promise<void>;
  /** Called after each change of the row. Returns what ends it. */
  observe(changed: () => void): () => void;
  /** Whether the caller of this lease is on the roll. `unknown`: this replica is older than `revision`, where the lease was given. */
  lease(lease: string, revision: string): "live" | "ended" | "unknown";
  /** Called when leases may have ended or become known. */
  observeLeases(changed: () => void): () => void;
}

/** The state that the members keep together. All calls are synchronous but `execute`. */
export interface GroupMachine {
  /**
   * Runs one request at the synchronising host, on top of everything that was ordered before (committed or not). Called strictly one
   * after the other. Must change nothing but by the delta that it returns; what it throws is an outcome, too. One that takes longer than
   * `executeMsMax` is given up: its outcome is an error, `discard` is called, and whatever it still does must change nothing.
   */
  execute(request: OrderedRequest): Executed | Promise<Executed>;
  /** A committed delta, at every member, in order, each index once. */
  install(index: number, delta: Uint8Array): StateChange;
  /** Everything that was executed and not installed is void: this host orders no more. */
  discard(): void;
  /** The state as of the last `install`, as rows in any order; the iterable is read at leisure while installs go on, so it must be a copy. */
  snapshot(): Iterable<StateRow>;
  /** Replaces the state. */
  restore(rows: Iterable<StateRow>): void;
  /** Only of a state whose slots can be taken apart. */
  readonly slots?: SlotRows;
}

/** A state by slots. Rows of a slot change by its requests alone, and by these calls. */
export interface SlotRows {
  /** Committed rows of a slot behind the key `after`, ascending, up to so many bytes, at least one if there is one. */
  page(slot: number, after: string, bytesMax: number): { readonly rows: readonly StateRow[]; readonly isLast: boolean };
  /** Rows that came over from another group, by the entry with this index. */
  adopt(index: number, rows: Iterable<StateRow>): StateChange;
  /** All rows of a slot go. */
  drop(index: number, slot: number): StateChange;
  /** Of all committed rows of a slot. */
  digest(slot: number): Uint8Array;
}

export interface OrderedRequest {
  readonly type: string;
  readonly body: Uint8Array;
  readonly id: RequestId;
  /** Of its ordering key, where the groups of a service share its keys. */
  readonly slot?: number | undefined;
  /** Of the log. */
  readonly index: number;
}

export interface Executed {
  readonly outcome: Uint8Array;
  readonly delta: Uint8Array;
}

export interface StateRow {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** What an installed delta changed, so that the member makes it durable. `bytes` undefined: deleted. */
export type StateChange = readonly { readonly key: string; readonly bytes: Uint8Array | undefined }[];

/** Who asked, and which of its requests: (lease, sequence) names one write for ever. */
export interface RequestId {
  readonly lease: string;
  /** 1, 2, 3 … of this lease and this group. */
  readonly sequence: number;
}

/** The slot of a request, and how new the map is by which its caller found the group: where it was asked that this group gets the slot. */
export interface SlotClaim {
  readonly slot: number;
  readonly revision: number;
}

/** A copy of a write, as any member may receive it from a caller. */
export interface Submission {
  readonly id: RequestId;
  /** The lowest sequence of this lease whose outcome the caller does not have yet: what is below it may be forgotten. */
  readonly low: number;
  /** Where the lease was given: a member that is not there yet waits. */
  readonly leaseRevision: string;
  /** Where the groups of a service share its keys. Sequences count for all groups of the service together then. */
  readonly slot?: SlotClaim | undefined;
  readonly type: string;
  readonly body: Uint8Array;
  readonly leftMs: number;
}

/**
 * How a submission ended at this member. `committed`: its one outcome, byte for byte the same for every copy, durable everywhere.
 * `elsewhere`: this member does not answer it (it is not, or no longer, the synchronising host and the entry is in the log, or its
 * deadline has passed, or it has left the group): nobody may conclude anything. `refused`: it did not and will not run by this copy.
 * `moved`: the same, because the slot is another group's, to which it is to be sent under the same name, as soon as a map of this revision says which.
 */
export type Settled =
  | { readonly kind: "committed"; readonly outcome: Outcome; readonly position: Position }
  | { readonly kind: "elsewhere" }
  | { readonly kind: "moved"; readonly revision: number }
  | { readonly kind: "refused"; readonly error: MusterError };

/**
 * `answer`: what `execute` returned (an answer or a handler's error, as the machine encoded it); `failed`: it changed nothing, because
 * `execute` threw, took too long, or returned more than an entry holds (`bytes`: the error's JSON, for `parseMusterError`); `abandoned`: it never runs.
 */
export type Outcome =
  | { readonly kind: "answer"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly bytes: Uint8Array }
  | { readonly kind: "abandoned" };

/** Asks what became of a write; if nobody has begun it, it never runs. */
export interface Question {
  readonly id: RequestId;
  /** As in a submission. */
  readonly low: number;
  readonly leaseRevision: string;
  readonly slot?: SlotClaim | undefined;
  readonly leftMs: number;
}

/** Of a committed entry: what a `session` read must have seen. */
export interface Position {
  readonly epoch: number;
  readonly index: number;
}
