import { type Clock, MusterError, type Timer, errorOf, every } from "../kernel/index.ts";
import type { Settled, SlotClaim } from "../groups/index.ts";
import { DeadlineSweep } from "../link/index.ts";
import type { CarriedTrace, RequestBody, RequestOptions } from "../requests/index.ts";
import type { RollNode } from "../roll/index.ts";
import { groupKey, tableNumbers, targetOfGroupKey } from "../tables/index.ts";
import * as errors from "./group-errors.ts";
import { GroupLease } from "./group-lease.ts";
import { GroupReads } from "./group-reads.ts";
import { GroupPlaces, groupOfServer } from "./group-places.ts";
import { parseRequestId, requestIdOf } from "./group-request-id.ts";
import { GroupWindow } from "./group-window.ts";
import { decodeBody, decodeSettled, encodeBody, encodeCopy, encodeQuestion, errorIn, groupTypes } from "./group-wire.ts";
import { type Call, type Ending, GroupWrite } from "./group-write.ts";
import type { WriteOutcome } from "./group.ts";

const deadlineMsDefault = 5000;
const deadlineMsMax = 3_600_000;
const typeCharactersMax = 128;
/** Writes of one program that have no outcome yet. */
const pendingMax = 65_536;
/** Without a word for so long, whoever synchronises now is sent it again. */
const againMs = 250;
/** Copies end by their own deadline first, and say whether they were ever sent. */
const graceMs = 10;
/** What holds at all members alike: one that keeps its state by key, or does not. */
const neverRuns: ReadonlySet<string> = new Set(["groups/no-slot", "groups/not-by-key"]);

/**
 * A program's half of ordered writes: gives each a name that is its own for ever, sends a copy to all members, and takes the first outcome
 * that any of them tells. Sending again is harmless under the same name; so when hosts fail nothing is decided here: the copies lie at the
 * members, and whoever synchronises next runs or finishes them.
 */
export class GroupCaller {
  readonly reads: GroupReads;
  readonly #clock: Clock;
  readonly #call: Call;
  readonly #places: GroupPlaces;
  readonly #lease: GroupLease;
  readonly #sweep: DeadlineSweep;
  readonly #unobserve: () => void;
  readonly #writes = new Set<GroupWrite>();
  /** Of the present lease, by group, and of former ones as long as something of theirs is open. */
  readonly #windows = new Map<string, GroupWindow>();
  readonly #changed = new Set<string>();
  #ticks: Timer | undefined;
  #closed = false;

  constructor(node: RollNode, call: Call) {
    const { clock, telemetry } = node.ports;
    this.#clock = clock;
    this.#call = call;
    this.#places = new GroupPlaces(node.replica);
    this.#lease = new GroupLease(node, telemetry, () => this.#beginAll());
    this.#sweep = new DeadlineSweep(clock, (nowMonoMs) => this.#expire(nowMonoMs));
    this.reads = new GroupReads(clock, this.#places.rows, call);
    this.#unobserve = node.replica.observe({
      touched: (table, key) => {
        if (table === tableNumbers.groups || table === tableNumbers.partitions) this.#rowChanged(key);
      },
      host: () => {},
      reset: () => {
        for (const { group } of this.#writes) this.#rowChanged(group);
        for (const { scope } of this.#writes) this.#rowChanged(scope.within);
        this.reads.changedAll();
      },
    });
  }

  /**
   * `instance`: whose group it is; with a slot, the service whose groups share its keys.
   * Resolves with the answer; rejects with the handler's error (effect "none": nothing has changed), a refusal, or `requests/unknown`.
   */
  write(
    table: string,
    instance: string,
    type: string,
    body: RequestBody | undefined,
    options: Pick<RequestOptions, "deadlineMs" | "signal"> = {},
    carried?: CarriedTrace,
    slot?: number,
  ): Promise<RequestBody> {
    return new Promise((resolve, reject) => {
      const key = groupKey(table, instance);
      if (typeof type !== "string" || type.length === 0 || type.length > typeCharactersMax) throw errors.badRequestType(type);
      if (key === undefined) throw errors.badGroup("its key is too long");
      const { signal } = options;
      if (signal?.aborted === true) throw errors.aborted(instance, type, "none", signal.reason);
      const dueMonoMs = this.#due(options.deadlineMs);
      const write = new GroupWrite(
        { scope: { within: key, slot }, table, type },
        encodeBody(body),
        dueMonoMs,
        "copy",
        carried,
        (ending) => {
          this.#settle(write, ending, resolve, reject);
        },
      );
      if (signal !== undefined) {
        const abort = () =>
          this.#fail(write, errors.aborted(instance, type, write.mayHaveRun ? "maybe" : "none", signal.reason), !write.mayHaveRun);
        signal.addEventListener("abort", abort, { once: true });
        write.release = () => signal.removeEventListener("abort", abort);
      }
      this.#enter(write);
      this.#begin(write);
    });
  }

  /** What became of a write, of this program or of another; if nobody has begun it, it never runs. Rejects with `requests/deadline-exceeded`. */
  outcome(requestId: string, options: { readonly deadlineMs?: number } = {}): Promise<WriteOutcome> {
    return new Promise((resolve, reject) => {
      const { within, slot, id } = parseRequestId(requestId);
      const target = targetOfGroupKey(within);
      if (target === undefined) throw errors.badRequestId(requestId);
      const { table } = target;
      const dueMonoMs = this.#due(options.deadlineMs);
      const question = new GroupWrite(
        { scope: { within, slot }, table, type: groupTypes.ask },
        new Uint8Array(),
        dueMonoMs,
        "ask",
        undefined,
        (ending) => {
          if (ending.kind === "error") {
            if (ending.error.code === "groups/expired") resolve({ kind: "expired" });
            else reject(ending.error);
            return;
          }
          this.#windows.get(windowKey(id.lease, within))?.known(id.sequence);
          const { outcome } = ending;
          if (outcome.kind === "answer") resolve({ kind: "answer", answer: decodeBody(outcome.bytes) });
          else if (outcome.kind === "failed") resolve({ kind: "failed", error: errorIn(outcome.bytes) });
          else resolve({ kind: "abandoned" });
        },
      );
      question.id = id;
      this.#enter(question);
      this.#send(question, "all");
    });
  }

  /** Writes without an outcome. */
  get pending(): number {
    return this.#writes.size;
  }

  /** Ends everything: what was sent may run. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve();
    for (const write of this.#writes) this.#fail(write, errors.closed(write.mayHaveRun ? "maybe" : "none"), true);
    this.reads.close();
    this.#lease.close();
    this.#sweep.stop();
    this.#ticks?.cancel();
  }

  #due(deadlineMs: number | undefined): number {
    const leftMs = checkDeadline(deadlineMs);
    if (this.#closed) throw errors.closed("none");
    if (this.#writes.size >= pendingMax) throw errors.tooMany(pendingMax);
    return this.#clock.monoMs() + leftMs;
  }

  #enter(write: GroupWrite): void {
    this.#writes.add(write);
    this.#sweep.watch(write.dueMonoMs + graceMs);
    this.#ticks ??= every(this.#clock, againMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#writes.size === 0) {
      this.#ticks?.cancel();
      this.#ticks = undefined;
      return;
    }
    for (const write of this.#writes) {
      if (write.id === undefined) this.#begin(write);
      else this.#send(write, write.mode === "ask" ? "all" : "leader");
    }
  }

  #beginAll(): void {
    for (const write of this.#writes) if (write.id === undefined) this.#begin(write);
  }

  /** Gives it its name, as soon as there is one, and sends it. */
  #begin(write: GroupWrite): void {
    if (write.window !== undefined) return;
    const lease = this.#lease.name;
    if (lease === undefined) return;
    const key = windowKey(lease, write.scope.within);
    let window = this.#windows.get(key);
    if (window === undefined) {
      window = new GroupWindow(lease, write.scope.within);
      this.#windows.set(key, window);
    }
    write.window = window;
    for (const admitted of window.admit(write)) this.#send(admitted, "all");
  }

  #rowChanged(group: string): void {
    if (this.#changed.size === 0)
      this.#clock.turn(() => {
        const changed = new Set(this.#changed);
        this.#changed.clear();
        if (this.#closed) return;
        for (const write of this.#writes)
          if ((changed.has(write.group) || changed.has(write.scope.within)) && write.id !== undefined) this.#send(write, "all");
        for (const one of changed) this.reads.changed(one);
      });
    this.#changed.add(group);
  }

  /** To those that hold nothing of it at present. */
  #send(write: GroupWrite, to: "all" | "leader"): void {
    const place = this.#places.of(write);
    if (place === undefined || write.id === undefined) return;
    const { row, claim } = place;
    for (const { server } of row.members)
      if (!write.live.has(server) && (to === "all" || server === row.synchronising)) this.#sendTo(write, write.id, server, claim);
  }

  #sendTo(write: GroupWrite, id: NonNullable<GroupWrite["id"]>, server: string, claim: SlotClaim | undefined): void {
    const leftMs = write.dueMonoMs - this.#clock.monoMs();
    if (leftMs < 1 || write.hasEnded) return;
    const low = Math.min(write.window?.low ?? this.#windows.get(windowKey(id.lease, write.scope.within))?.low ?? 1, id.sequence);
    const isCopy = write.mode === "copy";
    const { type, body, carried } = write;
    const content = isCopy ? encodeCopy({ id, low, slot: claim, type, body }) : encodeQuestion(id, low, claim);
    const controller = new AbortController();
    write.live.set(server, controller);
    const ended = (): boolean => {
      if (write.live.get(server) !== controller) return false;
      write.live.delete(server);
      return true;
    };
    const options = { effect: "repeatable", deadlineMs: leftMs, signal: controller.signal, carried } as const;
    this.#call(write.table, server, isCopy ? groupTypes.ordered : groupTypes.ask, content, options)
      .then(
        (answer) => {
          if (ended()) this.#heard(write, server, decodeSettled(answer), isCopy);
        },
        (thrown: unknown) => {
          const never = thrown instanceof MusterError && thrown.effect === "none";
          if (ended() && isCopy && !never) write.mayBeHeld = true;
        },
      )
      // What goes wrong in here is a broken invariant, and must not become a promise that nobody looks at.
      .catch((thrown: unknown) => this.#fail(write, broken(write, thrown), false));
  }

  #heard(write: GroupWrite, server: string, settled: Settled, wasCopy: boolean): void {
    switch (settled.kind) {
      case "elsewhere":
        if (wasCopy) write.mayBeHeld = true;
        return;
      case "committed":
        this.reads.seen(groupOfServer(write, server), settled.position);
        this.#end(write, { kind: "committed", outcome: settled.outcome }, true);
        return;
      case "moved":
        this.#moved(write, settled.revision);
        return;
      case "refused":
        this.#refused(write, server, settled.error);
    }
  }

  /** Its slot is another group's: it goes there under the same name, when the map here says which. */
  #moved(write: GroupWrite, revision: number): void {
    const isNews = revision > write.revisionMin;
    write.revisionMin = Math.max(write.revisionMin, revision);
    if (isNews) this.#send(write, "all");
  }

  /** What a refusal says holds for that copy; it is the write's end only if no other copy can run any more. */
  #refused(write: GroupWrite, server: string, error: MusterError): void {
    switch (error.code) {
      case "groups/expired":
        // Its lease has ended, or it is forgotten: whether it ran nobody knows any more.
        if (write.type === groupTypes.ask) this.#fail(write, error, true);
        else this.#unknown(write, error.message, error);
        return;
      case "groups/window-full":
        // Room comes with the outcomes of those before it.
        return;
      case "groups/too-few-copies":
        // Others may come back before the deadline, as for what has no server at all.
        write.refusal = error;
        return;
    }
    if (this.#places.rows.of(write.group)?.synchronising !== server) return;
    write.refusal ??= error;
    if (write.type === groupTypes.ask) return;
    if (!write.mayHaveRun || neverRuns.has(error.code)) {
      this.#fail(write, write.refusal, true);
      return;
    }
    if (write.mode === "ask") return;
    // Others may hold copies: they must not run when somebody has been told that it did not.
    write.mode = "ask";
    write.mayBeHeld = true;
    write.abortAll(write.refusal);
    this.#send(write, "all");
  }

  #unknown(write: GroupWrite, why: string, cause?: unknown): void {
    const { id } = write;
    const requestId = id === undefined ? "" : requestIdOf(write.scope, id);
    this.#fail(write, new errors.UnknownOutcome(requestId, write.scope.within, write.type, why, cause), false);
  }

  #expire(nowMonoMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const write of this.#writes) {
      const dueMonoMs = write.dueMonoMs + graceMs;
      if (dueMonoMs <= nowMonoMs) this.#runOut(write);
      else if (dueMonoMs < earliest) earliest = dueMonoMs;
    }
    return earliest;
  }

  #runOut(write: GroupWrite): void {
    const { scope, type, refusal, id } = write;
    const group = scope.within;
    const why = refusal === undefined ? "" : `; before that: ${refusal.message}`;
    if (type === groupTypes.ask && id !== undefined) this.#fail(write, errors.askedInVain(requestIdOf(scope, id)), true);
    else if (write.mayHaveRun) this.#unknown(write, `no outcome came before the deadline${why}`, refusal);
    else this.#fail(write, refusal ?? errors.deadlineExceeded(group, type, why), true);
  }

  #fail(write: GroupWrite, error: MusterError, isKnown: boolean): void {
    this.#end(write, { kind: "error", error }, isKnown);
  }

  #end(write: GroupWrite, ending: Ending, isKnown: boolean): void {
    if (!this.#writes.delete(write)) return;
    write.abortAll(new MusterError("requests/cancelled", "its outcome is known, or nobody waits for it", { effect: "maybe" }));
    write.end(ending);
    const { window } = write;
    if (window === undefined) return;
    window.close(write, isKnown);
    for (const admitted of window.admit()) this.#send(admitted, "all");
    if (window.isIdle && this.#lease.name !== window.lease) this.#windows.delete(windowKey(window.lease, window.group));
  }

  #settle(write: GroupWrite, ending: Ending, resolve: (answer: RequestBody) => void, reject: (error: Error) => void): void {
    if (ending.kind === "error") {
      reject(ending.error);
      return;
    }
    const { outcome } = ending;
    switch (outcome.kind) {
      case "answer":
        resolve(decodeBody(outcome.bytes));
        return;
      case "failed":
        reject(errorIn(outcome.bytes));
        return;
      case "abandoned":
        // It never runs: because this program asked, or another one that knows its name.
        reject(
          write.refusal ??
            errors.deadlineExceeded(write.scope.within, write.type, ": somebody asked what became of it before it had begun"),
        );
    }
  }
}

/** Throws `requests/bad-deadline`. */
export function checkDeadline(deadlineMs = deadlineMsDefault): number {
  if (deadlineMs >= 1 && deadlineMs <= deadlineMsMax) return deadlineMs;
  throw errors.badDeadline(deadlineMs);
}

function windowKey(lease: string, group: string): string {
  return `${lease} ${group}`;
}

function broken(write: GroupWrite, thrown: unknown): MusterError {
  if (!(thrown instanceof MusterError)) throw thrown;
  return new errors.UnknownOutcome("", write.scope.within, write.type, errorOf(thrown).message, thrown);
}
