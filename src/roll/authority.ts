import { type Clock, MusterError, type Revision, type Telemetry, errorOf, limits } from "../kernel/index.ts";
import type { Store, StoreBatch } from "../storage/index.ts";
import type { Replica } from "../tables/index.ts";
import { ByteWriter, decodeChanges, encodeChange } from "../wire/index.ts";
import type { ChangeLog } from "./change-log.ts";
import { type Decided, batchOf } from "./commit-batch.ts";
import { DecidedGround } from "./decided-ground.ts";
import { Draft, type DraftRow } from "./draft.ts";
import type { Epochs } from "./epochs.ts";
import { type Refusal, changeTooLarge, refusal, resendCode } from "./errors.ts";
import { evictGone } from "./group-rules.ts";
import type { RollLimits } from "./options.ts";
import type { ChangeRequest, Outcome } from "./requests.ts";
import { decide } from "./rules.ts";
import { type Session, type SessionKind, prune, turnOf } from "./sessions.ts";
import { metricNames } from "./metrics.ts";

export interface AuthorityPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly store: Store;
  readonly replica: Replica;
  readonly log: ChangeLog;
  readonly epochs: Epochs;
  readonly limits: RollLimits;
  /** Called after a group of changes became durable and visible here, before any outcome is told. */
  readonly committed: () => void;
  /** Tells a writer what became of its change. */
  readonly tell: (session: number, number: number, outcome: Outcome) => void;
}

/** A commit is closed at this size. */
const commitBytesMax = 16 * 1024 * 1024;
/** From so many changes in a group on, more are expected to be under way. */
const crowdedChanges = 8;
/** The shortest and the longest rest between two commits. */
const restMsMin = 2;
const restMsMax = 5;

/**
 * The directory's hand on the order: decides each change on top of all decided before, makes groups of them durable, and
 * only then shows and tells them. Nothing that has left here is ever taken back.
 */
export class Authority {
  readonly draft: Draft;
  /** The ground of the rules: what is committed with all that has been decided on top of it. */
  readonly ground: DecidedGround;
  readonly sessions = new Map<number, Session>();
  readonly #ports: AuthorityPorts;
  readonly #writer = new ByteWriter();
  readonly #fleet: string;
  readonly #endedSessions = new Set<number>();
  #epoch: number;
  #sequence: number;
  #queue: Decided[] = [];
  #inFlight: readonly Decided[] = [];
  #committing = false;
  #restUntilMonoMs = Number.NEGATIVE_INFINITY;
  #scheduled = false;
  #closed = false;
  /** Why the last commit failed; undefined while the store takes changes. */
  #trouble: MusterError | undefined;
  #idle: (() => void)[] = [];

  constructor(ports: AuthorityPorts, reign: { readonly fleet: string; readonly epoch: number; readonly sequence: number }) {
    this.#ports = ports;
    this.#fleet = reign.fleet;
    this.#epoch = reign.epoch;
    this.#sequence = reign.sequence;
    this.draft = new Draft({ row: (table, key) => committedRow(ports.replica, table, key) });
    this.ground = new DecidedGround({ draft: this.draft, replica: ports.replica, sessionLives: (session) => this.sessionLives(session) });
  }

  get fleet(): string {
    return this.#fleet;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get trouble(): MusterError | undefined {
    return this.#trouble;
  }

  /** Takes one change of a writer. Its outcome is told when it is durable; a copy of one already told is told again. */
  submit(request: ChangeRequest): void {
    const { session: id, number } = request;
    const session = this.#endedSessions.has(id) ? undefined : this.sessions.get(id);
    const turn = turnOf(session, number, request.low);
    switch (turn.kind) {
      case "expired":
        this.#ports.tell(id, number, { ok: false, error: expired(id) });
        return;
      case "gap":
        // Usually the earlier one is on its way by another path; after a failed commit only the writer can close the gap.
        this.#ports.telemetry.count(metricNames.changesDropped, 1, { reason: "gap" });
        this.#ports.tell(id, number, { ok: false, error: outOfOrder });
        return;
      case "repeat":
        if (turn.outcome !== undefined && !this.#isInFlight(id, number)) this.#ports.tell(id, number, turn.outcome);
        return;
      case "decide":
        if (session !== undefined) this.#decide(session, request);
    }
  }

  /** What is in the commit under way is told by that commit, never before. */
  #isInFlight(id: number, number: number): boolean {
    return this.#inFlight.some((item) => item.session?.id === id && item.number === number);
  }

  #decide(session: Session, request: ChangeRequest): void {
    const sequence = this.#sequence + 1;
    this.draft.begin(this.#epoch, sequence);
    const refused = decide(
      this.ground,
      { session: session.id, name: session.name, isProgram: session.kind === "client" },
      request.operations,
      request.conditions,
    );
    prune(session, request.low);
    session.next = request.number + 1;
    const tooLarge = refused === undefined ? this.#tooLarge() : undefined;
    if (tooLarge !== undefined) {
      this.draft.begin(this.#epoch, sequence);
      this.#enqueue({ sequence: this.#sequence, effects: [], session, number: request.number, outcome: { ok: false, error: tooLarge } });
      return;
    }
    if (refused !== undefined) {
      this.#enqueue({ sequence: this.#sequence, effects: [], session, number: request.number, outcome: { ok: false, error: refused } });
      return;
    }
    const effects = this.draft.accept();
    const revision = { epoch: this.#epoch, sequence: effects.length === 0 ? this.#sequence : sequence };
    this.#enqueue({ sequence: revision.sequence, effects, session, number: request.number, outcome: { ok: true, ...revision } });
  }

  /** With what follows from it: the rows of service instances that it joins are written as a whole. */
  #tooLarge(): Refusal | undefined {
    let bytes = 0;
    for (const effect of this.draft.effects) bytes += effect.key.length + (effect.kind === "put" ? effect.text.length : 0);
    if (bytes <= limits.changeBytesMax) return undefined;
    return changeTooLarge(bytes);
  }

  /**
   * A change of the directory's own (expiry, admission, a new reign). `build` writes into the draft and may refuse by
   * returning false. Resolves when it is durable.
   */
  duty(
    build: (draft: Draft, sequence: number) => boolean | undefined,
    options: { readonly empty?: boolean; readonly ends?: number } = {},
  ): Promise<Revision> {
    return new Promise((resolve, reject) => {
      const sequence = this.#sequence + 1;
      this.draft.begin(this.#epoch, sequence);
      const wanted = build(this.draft, sequence) !== false;
      if (wanted) evictGone(this.ground);
      const effects = wanted ? this.draft.accept() : [];
      const counts = effects.length > 0 || options.empty === true;
      const revision = { epoch: this.#epoch, sequence: counts ? sequence : this.#sequence };
      this.#enqueue({
        sequence: revision.sequence,
        effects,
        session: undefined,
        number: counts ? sequence : 0,
        outcome: { ok: true, ...revision },
        ends: options.ends,
        done: resolve,
        failed: reject,
      });
    });
  }

  /** Admits a writer: its session is the sequence of the change that says so. */
  async admit(
    node: { readonly kind: SessionKind; readonly name: string; readonly token: string },
    build?: (draft: Draft) => void,
  ): Promise<Session> {
    if (this.sessions.size >= this.#ports.limits.sessionsMax)
      throw new MusterError("roll/too-many-sessions", `the fleet has ${this.sessions.size} writers, which is the limit`, {
        next: "raise sessionsMax at the directory, or find out who opens connections without closing them",
      });
    let session: Session | undefined;
    await this.duty(
      (draft, sequence) => {
        build?.(draft);
        session = {
          id: sequence,
          kind: node.kind,
          name: node.name,
          token: node.token,
          next: 1,
          durableNext: 1,
          low: 1,
          outcomes: new Map(),
        };
        this.sessions.set(sequence, session);
        return true;
      },
      { empty: true },
    );
    if (session === undefined) throw new MusterError("roll/not-admitted", "the admission was not committed");
    return session;
  }

  /** Ends a session: from now on its changes are expired, never applied. */
  endSession(id: number, build?: (draft: Draft) => void): Promise<Revision> {
    this.#endedSessions.add(id);
    return this.duty(
      (draft) => {
        build?.(draft);
        return true;
      },
      { empty: true, ends: id },
    );
  }

  sessionLives(session: number): boolean {
    return this.sessions.has(session) && !this.#endedSessions.has(session);
  }

  #enqueue(item: Omit<Decided, "bytes">): void {
    const counts =
      item.effects.length > 0 || (item.session === undefined && item.number === item.sequence && item.sequence > this.#sequence);
    let bytes: Uint8Array | undefined;
    if (counts) {
      this.#sequence = item.sequence;
      encodeChange(this.#writer, this.#epoch, item.sequence, item.effects);
      bytes = this.#writer.take();
    }
    this.#queue.push({ ...item, bytes });
    this.#schedule();
  }

  /** Changes of one turn of the event loop share a commit, and so do all that arrive while one is under way or during the rest after it. */
  #schedule(): void {
    if (this.#scheduled || this.#committing || this.#closed) return;
    this.#scheduled = true;
    const begin = () => {
      this.#scheduled = false;
      if (!this.#committing && !this.#closed) void this.#commit();
    };
    const restMs = this.#restUntilMonoMs - this.#ports.clock.monoMs();
    if (restMs >= 1) this.#ports.clock.schedule(restMs, begin);
    else this.#ports.clock.turn(begin);
  }

  /**
   * A commit costs about the same for one change as for a hundred, here (the flush) and at every child (a frame to read). So when
   * many writers are at work, a commit is followed by a rest as long as itself: latency that is lost anyhow buys larger groups.
   */
  #rest(changes: number, startedMonoMs: number): void {
    if (changes < crowdedChanges) return;
    const now = this.#ports.clock.monoMs();
    this.#restUntilMonoMs = now + Math.min(Math.max(now - startedMonoMs, restMsMin), restMsMax);
  }

  /** How many of the waiting changes go into one commit: bounded by number and by bytes, at least one. */
  #groupSize(): number {
    let bytes = 0;
    let count = 0;
    for (const item of this.#queue) {
      bytes += item.bytes?.length ?? 0;
      if (count > 0 && (count >= this.#ports.limits.commitChangesMax || bytes > commitBytesMax)) break;
      count++;
    }
    return count;
  }

  async #commit(): Promise<void> {
    const group = this.#queue.splice(0, this.#groupSize());
    if (group.length === 0) return;
    this.#committing = true;
    this.#inFlight = group;
    const started = this.#ports.clock.monoMs();
    const failure = await this.#ports.store.commit(this.#batchOf(group)).then(() => undefined, errorOf);
    if (this.#closed) return;
    if (failure === undefined) {
      this.#trouble = undefined;
      this.#ports.telemetry.observe(metricNames.commitMs, this.#ports.clock.monoMs() - started);
      // What throws here is no failed commit but a broken invariant: it ends the process.
      this.#show(group);
    } else this.#fail(group, failure);
    this.#committing = false;
    this.#inFlight = [];
    this.#rest(group.length, started);
    if (this.#queue.length > 0) this.#schedule();
    else for (const idle of this.#idle.splice(0)) idle();
  }

  #batchOf(group: readonly Decided[]): StoreBatch {
    const { replica, epochs, limits } = this.#ports;
    return batchOf(group, {
      fleet: this.#fleet,
      epoch: this.#epoch,
      epochs: epochs.starts,
      committed: replica.position.sequence,
      row: (table, key) => committedRow(replica, table, key),
      sessions: this.sessions,
      logMax: limits.storedLogMax,
      writer: this.#writer,
    });
  }

  #show(group: readonly Decided[]): void {
    const { replica, log } = this.#ports;
    for (const item of group) {
      if (item.bytes === undefined) continue;
      // The log first: a handler of the change's events may already make a child go on.
      log.append({ epoch: this.#epoch, sequence: item.sequence, bytes: item.bytes });
      decodeChanges(item.bytes, replica);
    }
    this.draft.committed(replica.position.sequence);
    this.#ports.committed();
    for (const item of group) {
      if (item.ends !== undefined) {
        this.sessions.delete(item.ends);
        this.#endedSessions.delete(item.ends);
      }
      if (item.session !== undefined) this.#ports.tell(item.session.id, item.number, item.outcome);
      item.done?.({ epoch: this.#epoch, sequence: item.sequence });
    }
  }

  /** The store refused: nothing that was decided on top of what is committed ever happened, and every writer is told. */
  #fail(group: readonly Decided[], thrown: Error): void {
    const all = [...group, ...this.#queue.splice(0)];
    const committed = this.#ports.replica.position.sequence;
    this.#trouble = thrown instanceof MusterError ? thrown : new MusterError("roll/not-durable", thrown.message, { cause: thrown });
    this.#ports.telemetry.log("error", "commit-failed", { code: this.#trouble.code, reason: this.#trouble.message });
    this.#sequence = committed;
    this.draft.discard();
    const error = notDurable(this.#trouble);
    for (const item of all.toReversed()) {
      if (item.session !== undefined) {
        item.session.next = Math.min(item.session.next, item.number);
        item.session.durableNext = Math.min(item.session.durableNext, item.number);
        item.session.outcomes.delete(item.number);
      } else if (item.number > committed) this.sessions.delete(item.number);
    }
    for (const item of all) {
      if (item.ends !== undefined) this.#endedSessions.delete(item.ends);
      if (item.session !== undefined) this.#ports.tell(item.session.id, item.number, { ok: false, error });
      item.failed?.(
        new MusterError(error.code, error.message, { effect: "maybe", ...(error.next === undefined ? {} : { next: error.next }) }),
      );
    }
  }

  /** Resolves when everything decided so far is durable or refused. */
  idle(): Promise<void> {
    if (!this.#committing && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async close(): Promise<void> {
    await this.idle();
    this.#closed = true;
  }
}

function committedRow(replica: Replica, table: number, key: string): DraftRow | undefined {
  const row = replica.row(table, key);
  if (row === undefined) return undefined;
  const { text, flag, owner, incarnation, epoch, sequence } = row;
  return { text, valid: flag, owner, incarnation, epoch, sequence };
}

const outOfOrder = refusal(resendCode, "an earlier change of this writer has not arrived");

function expired(session: number): Refusal {
  return refusal(
    "roll/expired",
    `the directory no longer knows the writer session ${session}, so this change is not applied now; an earlier copy of it may have been`,
    "read the entry to see what is true, then repeat the change",
  );
}

function notDurable(trouble: MusterError): Refusal {
  return refusal(
    "roll/not-durable",
    `the directory could not make the change durable: ${trouble.message}`,
    trouble.next ?? "look at the directory's log, then repeat the change",
  );
}
