import type { MusterError } from "../kernel/index.ts";
import type { Lane } from "./lane.ts";
import type { PendingRequest } from "./pending-table.ts";

/**
 * Why a copy was sent: `twin`, because the first one does not begin; `hedge`, because it has begun and takes long; `all`, because every
 * server is to answer.
 */
export type SpareKind = "twin" | "hedge" | "all";

/** A copy of a request beside its main one. */
export class Spare {
  readonly request: PendingRequest;
  readonly lane: Lane;
  readonly kind: SpareKind;
  /** 0 until it was sent. */
  attempt = 0;
  sentMonoMs = 0;
  /** 0 until the server said that it has begun. */
  startedMonoMs = 0;

  constructor(request: PendingRequest, lane: Lane, kind: SpareKind) {
    this.request = request;
    this.lane = lane;
    this.kind = kind;
  }

  get isSent(): boolean {
    return this.attempt > 0;
  }
}

/** What a request knows of its copies, from the moment at which there is something to know. */
export class CopySet {
  readonly spares: Spare[] = [];
  /** Servers that a copy has left again without an answer. */
  readonly left: Lane[] = [];
  /** When the server of the main copy said that it has begun; 0 until then. */
  startedMonoMs = 0;
  /** When the next hedge is due; 0 when none is. */
  hedgeMonoMs = 0;
  hedges = 0;
  hasTwin = false;
  /** There was a further copy. */
  wereSent = false;
  /** As what the copy was sent that is the main one now. */
  mainKind: SpareKind | "first" = "first";
  /** Both of a pair have begun; counted once. */
  bothStarted = false;
  /** What the first handler said that failed. */
  error: MusterError | undefined = undefined;

  spareOf(attempt: number): Spare | undefined {
    for (const spare of this.spares) if (spare.attempt === attempt) return spare;
    return undefined;
  }

  remove(spare: Spare): void {
    const index = this.spares.indexOf(spare);
    if (index >= 0) this.spares.splice(index, 1);
    spare.lane.spares.delete(spare);
    this.left.push(spare.lane);
  }
}
