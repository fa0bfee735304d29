import { errorOf } from "../kernel/index.ts";
import { type GroupMember as Member, type GroupRow, withoutMembers } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { EnoughCopies } from "./enough-copies.ts";
import { damaged, notSynchronising } from "./errors.ts";
import { Following } from "./following.ts";
import { GroupLog, tables } from "./group-log.ts";
import { History, decodeHistory, epochBeyond } from "./history.ts";
import { Installing } from "./installing.ts";
import { Joining } from "./joining.ts";
import { type CarriedRow, type GroupMessage, type GroupWord, decodeGroupMessage, encodeGroupMessage } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { type GroupLimits, type GroupMemberOptions, groupLimits, tickMsDefault, ticks } from "./options.ts";
import { Outcomes } from "./outcomes.ts";
import { OwnTicks } from "./own-ticks.ts";
import type { Position, Question, Settled, Submission } from "./ports.ts";
import { Presence } from "./presence.ts";
import { Reign } from "./reign.ts";
import { RowChanges } from "./row-changes.ts";
import { SlotsHere } from "./slots-here.ts";
import { type RowStanding, isSameRow, standingOf } from "./standing.ts";
import { type GroupStatus, statusOf } from "./status.ts";
import { Submissions } from "./submissions.ts";
import { WaitingRequests } from "./waiting.ts";

/**
 * One server's part in its ordering group. Reads its role from the row in the roll: joins while it is outside, holds copies as a member,
 * orders and runs requests as the synchronising host. Everything that it does is driven by messages, by changes of the row and of
 * leases, and by one own tick.
 */
export class GroupMember {
  /** Where the groups of a service share its keys. */
  readonly slots: SlotsHere;
  readonly #options: GroupMemberOptions;
  readonly #limits: GroupLimits;
  readonly #log: GroupLog;
  readonly #outcomes: Outcomes;
  readonly #history = new History();
  readonly #copies = new EnoughCopies();
  readonly #waiting: WaitingRequests;
  readonly #installing: Installing;
  readonly #following: Following;
  readonly #joining: Joining;
  readonly #rowChanges: RowChanges;
  readonly #submissions: Submissions;
  readonly #ticks: OwnTicks;
  readonly #presence: Presence;
  readonly #writer = new ByteWriter();
  #row: GroupRow | undefined;
  #standing: RowStanding = "none";
  /** While this host is the synchronising one, and no higher epoch has been heard of. */
  #reign: Reign | undefined;
  #state: "new" | "open" | "closed" = "new";
  #ends: (() => void)[] = [];
  /** Said once; the metric counts all. */
  #saidMalformed = false;
  #leaderSilentTicks = 0;
  #troubledTicks = 0;
  #olderTicks = 0;

  constructor(options: GroupMemberOptions) {
    this.#options = options;
    this.#limits = { ...groupLimits, ...options.limits };
    const { ports } = options;
    this.#outcomes = new Outcomes(this.#limits);
    this.#waiting = new WaitingRequests(this.#limits);
    this.#rowChanges = new RowChanges(ports, options.copiesMin);
    const logPorts = {
      ...ports,
      begins: () => this.#reign?.batchBegins(),
      durable: () => this.#durable(),
      neededAfter: () => this.#reign?.neededAfter ?? Number.POSITIVE_INFINITY,
    };
    this.#log = new GroupLog(logPorts, this.#limits);
    const mayTell = (index: number): boolean => this.#copies.mayTell(index, this.#log.installed);
    this.slots = new SlotsHere({
      ...ports,
      outcomes: this.#outcomes,
      installed: () => (this.#isMember() ? this.#log.installed.index : undefined),
      partBytesMax: this.#limits.slotPartBytesMax,
    });
    const records = { outcomes: this.#outcomes, history: this.#history, slots: this.slots.committed };
    const own = { ...ports, ...records, log: this.#log, waiting: this.#waiting, mayTell };
    this.#installing = new Installing({ ...own, stepped: (step) => this.#reign?.stepped(step) });
    this.#following = new Following({
      ...own,
      send: (server, epoch, toReplica, word) => this.#send(server, epoch, toReplica, word),
      committed: (index) => this.#installing.upTo(index, false),
      promising: (epoch) => this.#copies.promising(epoch, this.#log.installed.index),
      heard: (server, epoch) => this.#heard(server, epoch),
    });
    this.#joining = new Joining(
      { ...own, send: (server, word) => this.#sendToLeader(server, word), restored: () => this.#following.restored() },
      this.#limits.stateBytesMax,
    );
    const standing = (): RowStanding => (this.#state === "open" ? this.#standing : "none");
    this.#submissions = new Submissions({ ...own, standing, arrived: () => this.#reign?.arrived() });
    const beat = (tick: number): void => this.#beat(tick);
    this.#presence = new Presence(() => ports.readable?.());
    const late = (isAway: boolean): void => {
      ports.telemetry.count(metricNames.lateTicks);
      if (isAway) this.#presence.away();
    };
    this.#ticks = new OwnTicks(
      { ...ports, beat, judge: () => this.#judge(), inTime: () => this.#presence.inTime(), late },
      options.tickMs ?? tickMsDefault,
    );
  }

  /** Reads the store and begins. Rejects with `storage/*`, `groups/newer-data`, or `groups/damaged` for a store that no member wrote. Called once. */
  async open(): Promise<void> {
    const { machine, roll } = this.#options.ports;
    const rows = [...(await this.#log.open())];
    if (this.#state === "closed") {
      await this.#log.close();
      return;
    }
    this.#loadRecords(rows);
    this.slots.load(rows, this.#log.entries);
    machine.restore(rows.filter(({ table }) => table === tables.state));
    this.#state = "open";
    this.#ends.push(
      roll.observe(() => this.#rowChanged()),
      roll.observeLeases(() => this.#reign?.leasesChanged()),
    );
    this.#ticks.start();
    this.#rowChanged();
  }

  #loadRecords(rows: readonly CarriedRow[]): void {
    try {
      this.#outcomes.load(rows);
      this.#history.replace(decodeHistory(rows));
    } catch (error) {
      throw damaged(errorOf(error).message);
    }
  }

  /** Ends everything that waits as `elsewhere`, finishes the commit under way, closes the store. Idempotent. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#ticks.close();
    for (const end of this.#ends.splice(0)) end();
    this.#depose();
    this.#waiting.endAll(() => true);
    await this.#log.close();
  }

  /** A message of another server of the group. Never throws for what another server wrote: what cannot be read is counted and dropped. */
  receive(from: string, bytes: Uint8Array): void {
    if (this.#state !== "open") return;
    let message: GroupMessage;
    try {
      message = decodeGroupMessage(bytes);
    } catch (error) {
      this.#drop("malformed", from, error);
      return;
    }
    if (message.toReplica !== this.#log.replica) {
      this.#drop("replica", from);
      return;
    }
    switch (message.word.kind) {
      case "promise":
      case "append":
      case "fetch":
      case "confirm":
      case "part":
        this.#obey(from, message);
        return;
      case "denied":
        // Also in a lower epoch than this server has promised: that changes no log.
        if (this.#standing === "outside" && from === this.#row?.synchronising) this.#joining.refused(message.word);
        return;
      default:
        if (this.#reign?.receive(from, message) === true) this.#presence.heard();
    }
  }

  /** Another host speaks as the synchronising one of an epoch. It may know of that epoch before this host's roll does. */
  #obey(from: string, message: GroupMessage): void {
    const { epoch, word } = message;
    if (from === this.#options.server || (epoch === this.#row?.epoch && from !== this.#row.synchronising)) {
      this.#drop("sender", from);
      return;
    }
    if (this.#reign !== undefined && epoch > this.#reign.epoch) this.#depose();
    if (!this.#following.receive(from, message)) return;
    if (this.#standing !== "outside") return;
    this.#joining.accepted();
    if (word.kind === "part") this.#joining.part(from, word);
  }

  #drop(reason: string, from: string, error?: unknown): void {
    const { telemetry } = this.#options.ports;
    telemetry.count(metricNames.dropped, 1, { reason });
    if (error === undefined || this.#saidMalformed) return;
    this.#saidMalformed = true;
    telemetry.log("warn", "group-message-dropped", { from, reason: errorOf(error).message });
  }

  /** A copy of a write. Resolves once, at the latest after `leftMs` and a tick; never rejects. */
  submit(submission: Submission): Promise<Settled> {
    return this.#submissions.submit(submission);
  }

  /** What became of a write: its outcome, or an entry that it never runs. At the synchronising host, or where the outcome is known. */
  ask(question: Question): Promise<Settled> {
    return this.#submissions.ask(question);
  }

  /** Whether this member shows everything up to `position`. Only then may its committed state answer a `session` read. */
  readSession(position: Position): "here" | "behind" {
    if (!this.#isMember()) return "behind";
    // Alone it is as it is: there is nobody who could know better.
    const isAlone = this.#row?.members.length === 1;
    if (!isAlone && (!this.#presence.isSure || this.#ticks.isAway)) return "behind";
    const { epoch, index } = this.#log.installed;
    return index >= position.index && epoch >= position.epoch ? "here" : "behind";
  }

  /**
   * Resolves after a round, begun after the call, in which all members confirmed that there is no newer epoch: the committed state as it is
   * here then is the latest. Rejects with `groups/not-synchronising` (ask the synchronising host), `groups/deposed`, `groups/late`
   * (not within `leftMs`), `groups/too-many-reads`; effect "none".
   */
  readLatest(leftMs: number): Promise<Position> {
    return this.#reign?.readLatest(leftMs) ?? Promise.reject(notSynchronising());
  }

  #isMember(): boolean {
    return this.#state === "open" && (this.#standing === "member" || this.#standing === "synchronising");
  }

  /** Position of the last entry that is committed and installed here: what a reply of a read carries. */
  position(): Position {
    return this.#log.installed;
  }

  status(): GroupStatus {
    return statusOf({
      server: this.#options.server,
      isOpen: this.#state === "open",
      row: this.#row,
      standing: this.#standing,
      reign: this.#reign,
      log: this.#log,
      waiting: this.#waiting,
      outcomes: this.#outcomes,
      // Why it is outside, or what it cannot take in as a member.
      trouble: this.#standing === "outside" ? (this.#joining.denied ?? this.#following.trouble) : this.#following.trouble,
    });
  }

  #rowChanged(): void {
    if (this.#state !== "open") return;
    const { server, ports } = this.#options;
    const row = ports.roll.row();
    if (row === this.#row || (row !== undefined && isSameRow(row, this.#row))) return;
    this.#row = row;
    this.#standing = standingOf(row, server, this.#log.replica);
    this.#leaderSilentTicks = 0;
    this.#olderTicks = 0;
    this.#rowChanges.settled();
    const areEnough = this.#copies.rowChanged(row, this.#log.installed, this.#log.promised);
    const goesOn = row !== undefined && this.#standing === "synchronising" && this.#log.promised <= row.epoch;
    if (goesOn && this.#reign?.canAdopt(row) === true) this.#reign.adopt(row);
    else {
      this.#depose();
      if (row !== undefined && this.#standing === "synchronising" && this.#log.promised < row.epoch) this.#begin(row);
    }
    if (this.#standing !== "member" && this.#standing !== "synchronising") this.#waiting.endAll(() => true);
    if (this.#standing === "outside") this.#joining.begin();
    else this.#joining.stop();
    if (areEnough) this.#reign?.copiesChanged();
  }

  /** An epoch is served by one life of one host: one that was promised before this life is left alone (see `#beat`). */
  #begin(row: GroupRow): void {
    const { server, ports } = this.#options;
    const send = (to: Member, epoch: number, word: GroupWord): void => this.#send(to.server, epoch, to.replica, word);
    const own = {
      log: this.#log,
      outcomes: this.#outcomes,
      history: this.#history,
      slots: this.slots.committed,
      waiting: this.#waiting,
      installing: this.#installing,
      rowChanges: this.#rowChanges,
      mayTell: (index: number): boolean => this.#copies.mayTell(index, this.#log.installed),
    };
    this.#reign = new Reign({ ...ports, ...own, server, send }, this.#limits, row);
    this.#reign.start();
  }

  #depose(): void {
    this.#reign?.end();
    this.#reign = undefined;
  }

  #durable(): void {
    if (this.#state !== "open") return;
    this.#troubledTicks = 0;
    this.#following.durable();
    this.#joining.durable();
    this.#reign?.durable();
  }

  #heard(server: string, epoch: number): void {
    if (epoch >= (this.#row?.epoch ?? 0) || server === this.#row?.synchronising) this.#leaderSilentTicks = 0;
    if (epoch >= (this.#row?.epoch ?? 0)) this.#presence.heard();
    this.#joining.heard();
  }

  #beat(tick: number): void {
    this.#rowChanges.beat();
    this.#waiting.sweep(this.#options.ports.clock.monoMs());
    if (this.#log.trouble === undefined) this.#log.flush();
    else if (tick % ticks.storeRetry === 0) {
      this.#log.retry();
      this.#following.tellTrouble();
    }
    this.#reign?.beat(tick);
    this.#wish();
  }

  /** What this member wants of the row, by what the row makes of it. */
  #wish(): void {
    const { server, copiesMin = 1, found = true } = this.#options;
    const row = this.#row;
    const { replica, promised, trouble } = this.#log;
    if (row === undefined) {
      // A row that somebody deleted, or that an older roll lacks, is made again beyond all epochs that this member has seen, and in another
      // block of them: others may hold more than this one.
      const epoch = this.#log.entries.end === 0 ? promised + 1 : epochBeyond(promised);
      const founded = { epoch, members: [{ server, replica }], synchronising: server, copiesMin };
      if (found && trouble === undefined) this.#rowChanges.ask(undefined, founded, "founded");
      return;
    }
    // Of a row that is older than what was promised nobody knows who has held it all since.
    const next = promised > row.epoch ? epochBeyond(promised) : row.epoch + 1;
    switch (this.#standing) {
      case "outside":
        if (trouble === undefined) this.#joining.beat(row);
        return;
      case "replaced": {
        // What the row counts on is gone.
        const rest = withoutMembers(row, (one) => one === server);
        if (rest !== undefined) this.#rowChanges.ask(row, rest, "lost-disk");
        return;
      }
      case "chosen":
        // What is not durable yet may be a copy that has just taken the place of an older one: half of each is no state. And that what others hold
        // was given up must outlive this life, for it is said in the log only in the epoch after.
        if (trouble === undefined && this.#log.durable === this.#log.entries.end && this.#log.accept(next))
          this.#rowChanges.ask(row, { ...row, epoch: next, members: [{ server, replica }] }, "chosen");
        return;
      case "synchronising":
        // An earlier life may have served this epoch, and messages of it may still be under way.
        if (this.#reign === undefined && (promised === row.epoch || this.#olderTicks > ticks.silent))
          this.#rowChanges.ask(row, { ...row, epoch: next }, "returned");
        return;
      default:
        return;
    }
  }

  #judge(): void {
    this.#reign?.judge();
    const row = this.#row;
    if (row === undefined) return;
    this.#leaderSilentTicks++;
    this.#olderTicks = this.#log.promised > row.epoch ? this.#olderTicks + 1 : 0;
    this.#troubledTicks = this.#log.trouble === undefined ? 0 : this.#troubledTicks + 1;
    const { server } = this.#options;
    const rank = row.members.findIndex((member) => member.server === server);
    if (this.#standing === "member" && this.#leaderSilentTicks > ticks.silentLeader + rank * ticks.silentRank)
      this.#leaveOut(row, row.synchronising, "silent");
    if (this.#standing === "synchronising" && this.#troubledTicks > ticks.troubled) this.#leaveOut(row, server, "own-disk");
  }

  #leaveOut(row: GroupRow, server: string, reason: string): void {
    const next = withoutMembers(row, (one) => one === server);
    if (next !== undefined && this.#rowChanges.ask(row, next, reason))
      this.#options.ports.telemetry.count(metricNames.evictions, 1, { reason });
  }

  #sendToLeader(server: string, word: GroupWord): void {
    const leader = this.#row?.members.find((member) => member.server === server);
    if (leader !== undefined) this.#send(server, Math.max(this.#log.promised, this.#row?.epoch ?? 0), leader.replica, word);
  }

  #send(server: string, epoch: number, toReplica: string, word: GroupWord): void {
    if (this.#state !== "open") return;
    const message = { epoch, fromReplica: this.#log.replica, toReplica, word };
    this.#options.ports.send(server, encodeGroupMessage(this.#writer, message));
  }
}
