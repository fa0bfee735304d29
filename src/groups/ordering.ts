import { type Clock, type MusterError, isRecord } from "../kernel/index.ts";
import type { EntryBody } from "./entry.ts";
import {
  badResult,
  entryTooLarge,
  expired,
  handlerFailed,
  handlerStuck,
  idReused,
  isBadResult,
  notDurable,
  outcomesFull,
  tooFewCopies,
  tooManyLeases,
  windowFull,
} from "./errors.ts";
import type { Moving } from "./moving.ts";
import { type GroupLimits, entryBytesMax } from "./options.ts";
import type { Outcomes, Recorded } from "./outcomes.ts";
import type { Executed, GroupMachine, GroupRoll, Outcome, Settled } from "./ports.ts";
import type { Copy, Waiting, WaitingRequests } from "./waiting.ts";

export interface OrderingPorts {
  readonly clock: Clock;
  readonly machine: GroupMachine;
  readonly roll: GroupRoll;
  readonly waiting: WaitingRequests;
  readonly outcomes: Outcomes;
  /** Takes an entry into the log of this epoch. */
  readonly append: (body: EntryBody) => void;
  /** What the log holds beyond the installed entries. */
  readonly ahead: () => { readonly entries: number; readonly bytes: number; readonly nextIndex: number };
  /** Members of the epoch, and how many a write needs. */
  readonly copies: () => { readonly count: number; readonly min: number };
  /** Whether an outcome at this index may be told, or waits until enough members hold it. */
  readonly mayTell: (index: number) => boolean;
  /** Where keys are shared among groups: whether a request may be ordered here. */
  readonly slots?: Pick<Moving, "judge" | "next"> | undefined;
  /** Why this host's store takes nothing; undefined while it does. */
  readonly trouble: () => MusterError | undefined;
}

/** A request that is being run. A later number in its place: its result is thrown away. */
interface Run {
  readonly waiting: Waiting;
  readonly digest: Uint8Array;
  readonly startedMonoMs: number;
  /** Set when its changes are void and the outcome is this error; it waits until the state is committed without it. */
  failure: MusterError | undefined;
}

/** Requests that are run before the loop turns. */
const turnMax = 128;
/** An error as an outcome. */
const failedBytesMax = 256 * 1024;
const nothing = new Uint8Array();

/**
 * The synchronising host's hand on the order: takes waiting requests one after the other, runs each on top of everything before, and
 * appends what came of it. It does not wait for commits, only for room. Exists while this host serves; `stop` voids what is not committed.
 */
export class Ordering {
  readonly #ports: OrderingPorts;
  readonly #limits: GroupLimits;
  #run: Run | undefined;
  #stopped = false;
  #scheduled = false;
  /** Leases have changed since it was last looked which callers have gone. */
  #leasesChanged = true;
  #looksAtLeases = true;

  constructor(ports: OrderingPorts, limits: GroupLimits) {
    this.#ports = ports;
    this.#limits = limits;
  }

  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  /** Orders no more. What is executed and not installed is void here; whether it happens is decided by whoever takes over. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#run = undefined;
    this.#ports.machine.discard();
    this.#ports.outcomes.forgetAhead();
    this.#ports.waiting.endAll(({ state }) => state === "running" || state === "ordered");
    this.#ports.waiting.release();
  }

  /** There are enough copies, or too few, since the row has changed. */
  copiesChanged(): void {
    this.#ports.waiting.release();
    this.schedule();
  }

  /** Leases may have ended or become known. */
  leasesChanged(): void {
    this.#leasesChanged = true;
    this.#ports.waiting.release();
    this.schedule();
  }

  /** A handler that takes too long is given up; callers that have gone are looked for once a tick, because there may be many. */
  tick(): void {
    if (this.#leasesChanged) this.#looksAtLeases = true;
    this.#leasesChanged = false;
    const run = this.#run;
    const { clock } = this.#ports;
    if (run !== undefined && run.failure === undefined && clock.monoMs() - run.startedMonoMs > this.#limits.executeMsMax) {
      this.#run = { ...run, failure: handlerStuck(this.#limits.executeMsMax) };
    }
    this.schedule();
  }

  /** Something has arrived, or there is room again. */
  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#ports.clock.turn(() => {
      this.#scheduled = false;
      this.#work();
    });
  }

  #work(): void {
    for (let done = 0; done < turnMax; done++) {
      if (this.#stopped || !this.#isReady()) return;
      if (this.#looksAtLeases) {
        this.#endLeases();
        if (!this.#hasRoom()) return;
      }
      // What moves shall lie in as many copies as what is written.
      const { count, min } = this.#ports.copies();
      const step = count < min ? undefined : this.#ports.slots?.next();
      if (step !== undefined) {
        this.#ports.append({ kind: "slot", step });
        continue;
      }
      const waiting = this.#ports.waiting.next();
      if (waiting === undefined) return;
      this.#take(waiting);
    }
    this.schedule();
  }

  /** Nothing is being run, and there is room in the log. */
  #isReady(): boolean {
    if (this.#run?.failure !== undefined) this.#void(this.#run, this.#run.failure);
    return this.#run === undefined && this.#hasRoom();
  }

  #hasRoom(): boolean {
    const { entries, bytes } = this.#ports.ahead();
    return entries < this.#limits.aheadMax && bytes < this.#limits.aheadBytesMax;
  }

  /** The end of a lease is an entry, so that all members forget its outcomes at the same place. What finds no room is looked for again. */
  #endLeases(): void {
    const { outcomes, roll } = this.#ports;
    for (const [lease, revision] of [...outcomes.callers()]) {
      if (roll.lease(lease, revision) !== "ended") continue;
      if (!this.#hasRoom()) return;
      this.#endLease(lease);
    }
    this.#looksAtLeases = false;
  }

  #endLease(lease: string): void {
    this.#ports.outcomes.endedAhead(lease);
    this.#ports.append({ kind: "lease-ended", lease });
  }

  #take(waiting: Waiting): void {
    const { outcomes, roll, clock, copies, trouble } = this.#ports;
    const { id, low, leaseRevision, copy } = waiting;
    const isAsked = this.#ports.waiting.isAsked(waiting);
    const verdict = outcomes.judge(id, low, isAsked ? undefined : copy?.digest);
    switch (verdict.kind) {
      case "recorded":
        if (isTold(verdict.recorded, this.#ports.mayTell)) this.#ports.waiting.end(waiting, () => committed(verdict.recorded));
        else this.#ports.waiting.move(waiting, "held");
        return;
      case "reused":
        this.#refuse(waiting, idReused(id));
        return;
      case "expired":
        this.#refuse(waiting, expired(id));
        return;
      case "ending":
        this.#ports.waiting.move(waiting, "held");
        return;
      default:
        break;
    }
    if (!this.#isHere(waiting)) return;
    switch (verdict.kind) {
      case "window-full":
        this.#refuse(waiting, windowFull(id, this.#limits.windowMax));
        return;
      case "too-many-leases":
        this.#refuse(waiting, tooManyLeases(outcomes.leases));
        return;
      case "outcomes-full":
        this.#refuse(waiting, outcomesFull(this.#limits.outcomeBytesMax));
        return;
      default:
        break;
    }
    switch (roll.lease(id.lease, leaseRevision)) {
      case "unknown":
        this.#ports.waiting.move(waiting, "held");
        return;
      case "ended":
        // Its copies are refused where the entry is installed: at all members.
        this.#endLease(id.lease);
        this.#ports.waiting.move(waiting, "held");
        return;
      case "live":
        break;
    }
    if (isAsked) {
      this.#append(waiting, { kind: "abandoned" }, nothing, copy?.digest ?? nothing);
      return;
    }
    if (copy === undefined || waiting.copyUntilMonoMs <= clock.monoMs()) {
      this.#ports.waiting.end(waiting, () => ({ kind: "elsewhere" }));
      return;
    }
    const { count, min } = copies();
    if (count < min) {
      this.#refuse(waiting, tooFewCopies(count, min));
      return;
    }
    const cause = trouble();
    if (cause !== undefined) this.#refuse(waiting, notDurable(cause));
    else if (verdict.kind === "fresh") this.#execute(waiting, copy);
    // As an entry, so that what this caller needs no longer is forgotten: many callers make room together.
    else this.#append(waiting, failed(outcomesFull(this.#limits.outcomeBytesMax)), nothing, copy.digest);
  }

  /** Where keys are shared among groups: whether its slot is this group's. What is not ordered here is told so, or waits. */
  #isHere(waiting: Waiting): boolean {
    const { slots } = this.#ports;
    if (waiting.slot === undefined || slots === undefined) return true;
    const verdict = slots.judge(waiting.slot);
    if (verdict === "own") return true;
    if (verdict === "hold") this.#ports.waiting.move(waiting, "held");
    else this.#ports.waiting.end(waiting, () => ({ kind: "moved", revision: verdict.moved }));
    return false;
  }

  #refuse(waiting: Waiting, error: MusterError): void {
    this.#ports.waiting.end(waiting, () => ({ kind: "refused", error }));
  }

  #execute(waiting: Waiting, { type, body, digest }: Copy): void {
    const { machine, clock, ahead } = this.#ports;
    this.#ports.waiting.move(waiting, "running");
    const run: Run = { waiting, digest, startedMonoMs: clock.monoMs(), failure: undefined };
    this.#run = run;
    try {
      const slot = waiting.slot?.slot;
      const executed = machine.execute({ type, body, id: waiting.id, slot, index: ahead().nextIndex });
      if (!(executed instanceof Promise)) {
        this.#finish(run, executed);
        return;
      }
      executed.then(
        (done) => this.#finish(run, done),
        (thrown: unknown) => this.#fail(run, thrown),
      );
    } catch (thrown) {
      this.#fail(run, thrown);
    }
  }

  #finish(run: Run, executed: Executed): void {
    // Meanwhile it may have been given up, or this host has been deposed.
    if (this.#run !== run) return;
    const flaw = flawOf(executed);
    if (flaw !== undefined) {
      this.#giveUp(run, badResult(flaw));
      return;
    }
    const { outcome, delta } = executed;
    const { lease } = run.waiting.id;
    const bytes = outcome.length + delta.length + Buffer.byteLength(lease) + Buffer.byteLength(run.waiting.leaseRevision);
    if (bytes > entryBytesMax) {
      this.#giveUp(run, entryTooLarge(bytes));
      return;
    }
    this.#run = undefined;
    this.#append(run.waiting, { kind: "answer", bytes: outcome }, delta, run.digest);
    this.schedule();
  }

  /** It was carried out, and its outcome cannot be kept: whatever it changed is void. */
  #giveUp(run: Run, failure: MusterError): void {
    this.#run = { ...run, failure };
    this.schedule();
  }

  #fail(run: Run, thrown: unknown): void {
    if (this.#run !== run) return;
    if (isBadResult(thrown)) {
      this.#giveUp(run, thrown);
      return;
    }
    this.#run = undefined;
    this.#append(run.waiting, { kind: "failed", bytes: errorBytes(handlerFailed(thrown)) }, nothing, run.digest);
    this.schedule();
  }

  /** What it changed is thrown away together with everything that is not installed: so all before it must be. */
  #void(run: Run, failure: MusterError): void {
    if (this.#ports.ahead().entries > 0) return;
    this.#run = undefined;
    this.#ports.machine.discard();
    this.#append(run.waiting, { kind: "failed", bytes: errorBytes(failure) }, nothing, run.digest);
  }

  /** Every outcome is an entry, be it an answer, an error or `abandoned`. */
  #append(waiting: Waiting, outcome: Outcome, delta: Uint8Array, digest: Uint8Array): void {
    const { id, low, leaseRevision } = waiting;
    this.#ports.waiting.move(waiting, "ordered");
    this.#ports.outcomes.orderedAhead(id.lease, low, leaseRevision);
    const slot = waiting.slot?.slot;
    this.#ports.append({ kind: "request", id, slot, low, leaseRevision, digest, outcome, delta });
  }
}

/** An `abandoned` changes nothing that a lost copy could take back. */
export function isTold({ outcome, position }: Recorded, mayTell: (index: number) => boolean): boolean {
  return outcome.kind === "abandoned" || mayTell(position.index);
}

/** Machines are the program's: what they return is looked at. */
function flawOf(executed: unknown): string | undefined {
  if (!isRecord(executed)) return "it returned no object";
  const { outcome, delta } = executed;
  if (!(outcome instanceof Uint8Array)) return "its outcome is not bytes";
  return delta instanceof Uint8Array ? undefined : "its delta is not bytes";
}

export function committed({ outcome, position }: Recorded): Settled {
  return { kind: "committed", outcome, position };
}

function failed(error: MusterError): Outcome {
  return { kind: "failed", bytes: errorBytes(error) };
}

/** Whatever a handler throws, its entry fits into a message. */
function errorBytes(error: MusterError): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(error));
  return bytes.length <= failedBytesMax ? bytes : errorBytes(entryTooLarge(bytes.length));
}
