import type { Clock, MusterError, Random, Telemetry } from "../kernel/index.ts";
import type { Store } from "../storage/index.ts";
import type { GroupRow } from "../tables/index.ts";

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
}

export interface OrderedRequest {
  readonly type: string;
  readonly body: Uint8Array;
  readonly id: RequestId;
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

/** A copy of a write, as any member may receive it from a caller. */
export interface Submission {
  readonly id: RequestId;
  /** The lowest sequence of this lease whose outcome the caller does not have yet: what is below it may be forgotten. */
  readonly low: number;
  /** Where the lease was given: a member that is not there yet waits. */
  readonly leaseRevision: string;
  readonly type: string;
  readonly body: Uint8Array;
  readonly leftMs: number;
}

/**
 * How a submission ended at this member. `committed`: its one outcome, byte for byte the same for every copy, durable everywhere.
 * `elsewhere`: this member does not answer it (it is not, or no longer, the synchronising host and the entry is in the log, or its
 * deadline has passed, or it has left the group): nobody may conclude anything. `refused`: it did not and will not run by this copy.
 */
export type Settled =
  | { readonly kind: "committed"; readonly outcome: Outcome; readonly position: Position }
  | { readonly kind: "elsewhere" }
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
  readonly leftMs: number;
}

/** Of a committed entry: what a `session` read must have seen. */
export interface Position {
  readonly epoch: number;
  readonly index: number;
}
