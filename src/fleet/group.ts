import type { GroupStatus, KeyedReader, KeyedTransaction, StateChange, StateRow } from "../groups/index.ts";
import type { RequestBody, RequestContext, RequestOptions, ServedType, TraceContext } from "../requests/index.ts";
import type { ServeOptions, ServedEntry } from "./fleet.ts";
import type { Consistency } from "./group-wire.ts";

/** What a handler of writes knows. What it does besides changing `state` happens at least once; in `state` it happens once. */
export interface GroupWriteContext {
  /** Everything that was ordered before, and the handler's own changes. */
  readonly state: KeyedTransaction;
  /** Names this write for ever: for `fleet.outcome`, and for effects elsewhere that must happen once. */
  readonly requestId: string;
  /** Its place in a trace, as far as its caller's copy has come to this server before the write's turn. */
  readonly trace: TraceContext | undefined;
}

/** What a handler of reads knows. */
export interface GroupReadContext extends RequestContext {
  /** What is committed here; it may move on while a handler waits for something. Empty where a `machine` keeps the state. */
  readonly state: KeyedReader;
  readonly consistency: Consistency;
}

export interface GroupWriteType extends Pick<ServedType, "orderingKey"> {
  readonly effect: "write" | "repeatable";
  /**
   * Runs at the synchronising host, one after the other. What it throws is the outcome, and then nothing has changed. Left out where a
   * `machine` executes.
   */
  readonly handle?: (body: RequestBody, context: GroupWriteContext) => RequestBody | undefined | Promise<RequestBody | undefined>;
}

export interface GroupReadType extends Pick<ServedType, "subset" | "copies" | "budget" | "orderingKey"> {
  readonly effect: "read";
  /**
   * `session` (default): any member answers that shows what the asking program has seen, its own writes among it. `latest`: every write
   * that was answered before; costs one round among the members.
   */
  readonly consistency?: Consistency;
  readonly handle: (body: RequestBody, context: GroupReadContext) => RequestBody | undefined | Promise<RequestBody | undefined>;
}

export type GroupType = GroupWriteType | GroupReadType;

/** A write, as a machine of one's own gets it. */
export interface GroupRequest {
  readonly type: string;
  readonly body: RequestBody;
  readonly requestId: string;
  /** Of the group's log. */
  readonly index: number;
  /** Its place in a trace, as far as its caller's copy has come to this server before the write's turn. */
  readonly trace: TraceContext | undefined;
}

/** A state of one's own instead of keyed rows. All calls but `execute` are synchronous. */
export interface GroupHooks {
  /**
   * Runs one write on top of everything that was ordered before, committed or not; called strictly one after the other. Changes
   * nothing but by the delta that it returns.
   */
  execute(request: GroupRequest): GroupExecuted | Promise<GroupExecuted>;
  /** A committed delta, at every member, in order, each once. Returns what became of which rows: they are what a member keeps on its disk. */
  install(index: number, delta: Uint8Array): StateChange;
  /** What was executed and not installed is void. */
  discard(): void;
  /** All rows, as a copy. */
  snapshot(): Iterable<StateRow>;
  restore(rows: Iterable<StateRow>): void;
}

export interface GroupExecuted {
  readonly answer: RequestBody | undefined;
  readonly delta: Uint8Array;
}

export interface GroupOptions {
  /** This server's copy of the state is kept there; of this server of this group alone. Created when it is missing. */
  readonly data: string;
  /**
   * With fewer members writes are refused (`groups/too-few-copies`). Default: 1, and 2 as soon as the group has had three members. Another
   * number counts from the next change of the group on that this server makes: when it begins to synchronise, or takes another member in.
   */
  readonly copiesMin?: number;
  /**
   * The groups of the service's instances share its keys: each request has an ordering key, its slot has rows of its own, and slots move between
   * groups while everything goes on (`muster move`). The same at all servers of the service, from their first start on; not with a `machine`.
   */
  readonly byKey?: boolean;
  /** Instead of keyed rows. */
  readonly machine?: GroupHooks;
}

/**
 * How a server of a service instance is served that keeps one state together with the others of the instance. Writes run one after the
 * other; how many reads work at a time is not limited, for messages of the group must not wait behind them.
 */
export interface GroupServeOptions extends Omit<ServeOptions, "types" | "valid" | "concurrency"> {
  readonly group: GroupOptions;
  readonly types: Readonly<Record<string, GroupType>>;
}

export interface ServedMember extends ServedEntry {
  /** This server's part in its ordering group. */
  readonly group: { status(): GroupStatus };
}

export interface GroupRequestOptions extends RequestOptions {
  /** Of a read of a service that keeps its state in an ordering group; default: as its servers declare the type. */
  readonly consistency?: Consistency;
  /**
   * Of a service whose groups share its keys: what the request is ordered by, 1 to 512 bytes. Requests of one key are ordered among one another, and
   * see the rows of its slot. Default: what the body has where the type's declared `orderingKey` points.
   */
  readonly key?: string;
}

/** What became of a write. `failed`: its handler threw, and nothing has changed. `expired`: it is not remembered any more; it may have run long ago. */
export type WriteOutcome =
  | { readonly kind: "answer"; readonly answer: RequestBody }
  | { readonly kind: "failed"; readonly error: Error }
  | { readonly kind: "abandoned" }
  | { readonly kind: "expired" };
