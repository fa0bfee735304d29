import type { MusterError } from "../kernel/index.ts";
import type { RequestId, Settled } from "../groups/index.ts";
import type { CarriedTrace, RequestBody } from "../requests/index.ts";
import type { RequestScope } from "./group-request-id.ts";
import type { GroupWindow } from "./group-window.ts";

/** How a write ended, as it is told to whoever asked. */
export type Ending =
  | { readonly kind: "committed"; readonly outcome: Extract<Settled, { kind: "committed" }>["outcome"] }
  | { readonly kind: "error"; readonly error: MusterError };

/**
 * One write, or one question after a write, from the call to its one ending. `copy`: it is sent to be run; `ask`: it must not run any more,
 * and what became of it is asked.
 */
export class GroupWrite {
  /** Key of the row of the group that it goes to; where groups share keys, by the map as it was last looked at. */
  group: string;
  /** Where its sequence counts. */
  readonly scope: RequestScope;
  /** Not to be sent by an older map: so a group has said that its slot has moved. */
  revisionMin = 0;
  readonly table: string;
  readonly type: string;
  readonly body: Uint8Array;
  readonly dueMonoMs: number;
  mode: "copy" | "ask";
  readonly carried: CarriedTrace | undefined;
  /** Undefined until the program has a lease and the group's window has room. */
  id: RequestId | undefined = undefined;
  window: GroupWindow | undefined = undefined;
  /** Members that have been sent something and have not said how it ended, with the way to give that up. */
  readonly live = new Map<string, AbortController>();
  /** A copy may be held by some member although nobody says so any more. */
  mayBeHeld = false;
  /** What the synchronising host said when it did not take it. */
  refusal: MusterError | undefined = undefined;
  release: (() => void) | undefined = undefined;
  hasEnded = false;
  readonly #ended: (ending: Ending) => void;

  constructor(
    target: { readonly scope: RequestScope; readonly table: string; readonly type: string },
    body: Uint8Array,
    dueMonoMs: number,
    mode: "copy" | "ask",
    carried: CarriedTrace | undefined,
    ended: (ending: Ending) => void,
  ) {
    this.scope = target.scope;
    this.group = target.scope.slot === undefined ? target.scope.within : "";
    this.table = target.table;
    this.type = target.type;
    this.body = body;
    this.dueMonoMs = dueMonoMs;
    this.mode = mode;
    this.carried = carried;
    this.#ended = ended;
  }

  /** Whether a member may run it, or have run it. */
  get mayHaveRun(): boolean {
    return this.mayBeHeld || this.live.size > 0;
  }

  /** Gives up what is under way, at all members but `except`. */
  abortAll(why: MusterError): void {
    for (const controller of this.live.values()) controller.abort(why);
    this.live.clear();
  }

  /** False when it has ended before: there is one outcome. */
  end(ending: Ending): boolean {
    if (this.hasEnded) return false;
    this.hasEnded = true;
    this.release?.();
    this.#ended(ending);
    return true;
  }
}

/** Sends a body to one server and resolves with what it answers. */
export type Call = (
  table: string,
  server: string,
  type: string,
  body: Uint8Array,
  options: {
    readonly effect: "read" | "repeatable";
    readonly deadlineMs: number;
    readonly signal?: AbortSignal;
    readonly carried?: CarriedTrace | undefined;
  },
) => Promise<RequestBody>;
