import type { Clock, MusterError, Random, Telemetry } from "../kernel/index.ts";
import { type GroupMember as Member, type GroupRow, withoutMembers } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { Appending, type Follower } from "./appending.ts";
import { type EntryBody, makeEntry } from "./entry.ts";
import { deposed, notSynchronising } from "./errors.ts";
import type { GroupLog } from "./group-log.ts";
import { type History, beginningOf, blockOf, epochBeyond } from "./history.ts";
import type { Installing } from "./installing.ts";
import { Joiners } from "./joiners.ts";
import { Latest } from "./latest.ts";
import type { GroupMessage, GroupWord } from "./messages.ts";
import { metricNames } from "./metrics.ts";
import { type GroupLimits, ticks } from "./options.ts";
import { Moving } from "./moving.ts";
import { signed } from "./openings.ts";
import { Ordering } from "./ordering.ts";
import type { Outcomes } from "./outcomes.ts";
import type { GroupMachine, GroupPartition, GroupRoll, Position } from "./ports.ts";
import type { RowChanges } from "./row-changes.ts";
import type { SlotStep } from "./slot-step.ts";
import type { Slots } from "./slots.ts";
import { Takeover } from "./takeover.ts";
import type { WaitingRequests } from "./waiting.ts";

export interface ReignPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly roll: GroupRoll;
  readonly machine: GroupMachine;
  readonly log: GroupLog;
  readonly outcomes: Outcomes;
  readonly history: History;
  readonly slots: Slots;
  readonly partition?: GroupPartition | undefined;
  readonly waiting: WaitingRequests;
  readonly installing: Installing;
  readonly rowChanges: RowChanges;
  /** Whether an outcome at this index may be told, or waits until enough members hold it. */
  readonly mayTell: (index: number) => boolean;
  /** Own server key. */
  readonly server: string;
  readonly send: (to: Member, epoch: number, word: GroupWord) => void;
}

/**
 * This host as the synchronising one, from the row that names it until another row does. First it makes all members equal (`Takeover`,
 * then an entry of its own that all must hold); only then it orders. A next epoch that it began itself, with members that
 * followed it already, changes whom it waits for and nothing else.
 */
export class Reign {
  readonly #ports: ReignPorts;
  readonly #limits: GroupLimits;
  readonly #firstEpoch: number;
  readonly #takeover: Takeover;
  readonly #appending: Appending;
  readonly #joiners: Joiners;
  readonly #latest: Latest;
  readonly #writer = new ByteWriter();
  #ordering: Ordering | undefined;
  /** Where the groups of a service share its keys. */
  #moving: Moving | undefined;
  #row: GroupRow;
  /** The roll has it; it begins here when it is promised. */
  #nextRow: GroupRow | undefined;
  /** Somebody has to be left out first. */
  #isLeavingOut = false;
  /** The entry of the takeover; when it is committed, all logs are equal up to it. */
  #openedIndex = Number.POSITIVE_INFINITY;
  /** The highest epoch that somebody promised to another host, as far as refusals tell. */
  #refusedBy = 0;
  #refusedTicks = 0;
  #isTelling = false;
  #isOver = false;

  constructor(ports: ReignPorts, limits: GroupLimits, row: GroupRow) {
    this.#ports = ports;
    this.#limits = limits;
    this.#row = row;
    this.#firstEpoch = row.epoch;
    const { clock, log } = ports;
    const send = (to: Member, word: GroupWord): void => ports.send(to, this.epoch, word);
    // In a row that was raised, those who are named need not have what is committed here.
    const committed = blockOf(row.epoch) === blockOf(log.installed.epoch) ? log.installed.index : 0;
    this.#appending = new Appending({ log, send, cannotFollow: (follower) => this.#cannotFollow(follower) }, committed);
    const joinersPorts = { ...ports, appending: this.#appending, row: () => this.#rowToJoin(), send };
    this.#joiners = new Joiners(joinersPorts, limits);
    const others = (): readonly string[] =>
      [...this.#appending.followers].filter(({ standing }) => standing !== "joiner").map(({ server }) => server);
    const ask = (server: string, round: number): void => this.#askToConfirm(server, round);
    this.#latest = new Latest({ clock, others, ask, position: () => log.installed }, limits.latestMax);
    this.#takeover = new Takeover({ log, history: ports.history, send, done: () => this.#open() }, row.epoch, this.#others());
  }

  /** Once; the first steps may call back. */
  start(): void {
    this.#takeover.start();
  }

  get epoch(): number {
    return this.#row.epoch;
  }

  get isServing(): boolean {
    return this.#ordering !== undefined;
  }

  get neededAfter(): number {
    return this.#joiners.neededAfter;
  }

  get joiners(): readonly string[] {
    return this.#joiners.servers;
  }

  /** Whether the next row can be taken on without asking anybody: this host began it, and all its members have followed in this reign. */
  canAdopt(row: GroupRow): boolean {
    const follows = ({ server, replica }: Member): boolean => {
      const standing = server === this.#ports.server ? "member" : this.#appending.follower(server, replica)?.standing;
      return standing === "member" || standing === "counted";
    };
    return this.isServing && row.epoch === this.epoch + 1 && row.synchronising === this.#ports.server && row.members.every(follows);
  }

  /** Takes it on when its epoch is promised durably: an epoch that was spoken of is never served by another life of this host. */
  adopt(row: GroupRow): void {
    this.#nextRow = row;
    this.#ports.log.promise(row.epoch);
    this.#adoptPromised();
  }

  #adoptPromised(): void {
    const row = this.#nextRow;
    if (row === undefined || this.#ports.log.promisedDurable < row.epoch) return;
    this.#nextRow = undefined;
    this.#row = row;
    this.#joiners.adopt(row);
    this.#appending.renew();
    this.#latest.renew();
    this.#advance();
    this.#ordering?.copiesChanged();
  }

  /** Another host orders, or nobody. Those who wait here learn no more from here. */
  end(): void {
    this.#isOver = true;
    this.#moving?.end();
    this.#moving = undefined;
    this.#ordering?.stop();
    this.#ordering = undefined;
    this.#latest.close(deposed());
  }

  readLatest(leftMs: number): Promise<Position> {
    return this.isServing ? this.#latest.read(leftMs) : Promise.reject(notSynchronising());
  }

  /** A request has arrived. */
  arrived(): void {
    this.#ordering?.schedule();
  }

  /** A step of a slot is committed. */
  stepped(step: SlotStep): void {
    this.#moving?.installed(step);
  }

  leasesChanged(): void {
    this.#ordering?.leasesChanged();
  }

  /** Outcomes that waited for more copies may be told. */
  copiesChanged(): void {
    this.#ordering?.copiesChanged();
  }

  /** A message of this reign: of its epochs, from the data that the row or a join named. Returns whether it shows that this epoch is the present one. */
  receive(from: string, { epoch, fromReplica, word }: GroupMessage): boolean {
    if (word.kind === "refused") {
      if (epoch === this.epoch && this.#isAddressed(from, fromReplica)) this.#refusedBy = Math.max(this.#refusedBy, word.promised);
      return false;
    }
    if (word.kind === "join") {
      if (this.isServing) this.#joiners.knock({ server: from, replica: fromReplica }, word.attempt, word);
      return false;
    }
    if (epoch < this.#firstEpoch || epoch > this.epoch) return false;
    if (!this.#takeover.isDone) this.#takeOver(from, fromReplica, word);
    const follower = this.#appending.follower(from, fromReplica);
    if (follower !== undefined) this.#hear(follower, word);
    return follower?.standing === "member" && epoch === this.epoch;
  }

  /** Somebody whom this host tells what to do. */
  #isAddressed(from: string, replica: string): boolean {
    const isMember = this.#row.members.some((member) => member.server === from && member.replica === replica);
    return isMember || this.#appending.follower(from, replica) !== undefined;
  }

  #takeOver(from: string, replica: string, word: GroupWord): void {
    if (!this.#row.members.some((member) => member.server === from && member.replica === replica)) return;
    this.#takeover.heard(from);
    if (word.kind === "promised") this.#takeover.promised(from, word);
    if (word.kind === "entries") this.#takeover.entries(from, word.previous, word.entries);
    if (word.kind === "troubled") this.#takeover.troubled(from);
  }

  #hear(follower: Follower, word: GroupWord): void {
    follower.silentTicks = 0;
    switch (word.kind) {
      case "appended":
        if (!this.#appending.acknowledged(follower, word.end)) break;
        this.#advance();
        this.#joiners.step();
        break;
      case "behind":
        this.#appending.behind(follower, word.previous, word.hint);
        break;
      case "got":
        this.#joiners.got(follower, word.feed, word.number);
        break;
      case "confirmed":
        this.#latest.confirmed(follower.server, word.round);
        break;
      case "troubled":
        follower.isTroubled = true;
        break;
      default:
        break;
    }
  }

  /** The own store begins a batch. */
  batchBegins(): void {
    if (this.#takeover.isDone) this.#appending.batchBegins();
  }

  /** The own log has become durable. */
  durable(): void {
    this.#takeover.durable();
    this.#adoptPromised();
    if (this.#takeover.isDone) this.#advance();
  }

  beat(tick: number): void {
    if (!this.#takeover.isDone) this.#takeover.beat(tick);
    else {
      this.#appending.beat();
      this.#joiners.beat();
      // Whoever is not waited for any more says nothing that could bring it on.
      this.#advance();
    }
    this.#latest.beat();
    this.#moving?.beat(tick);
    this.#ordering?.tick();
  }

  /** Own ticks came in time: asks for the epoch without whoever has been silent, troubled or stuck for too long. */
  judge(): void {
    this.#takeover.judge();
    this.#appending.judge();
    const isStuck = this.#joiners.judge();
    const gone = this.#takeover.isDone ? this.#goneFollowers() : this.#goneAsked();
    this.#refusedTicks = this.#refusedBy > this.epoch ? this.#refusedTicks + 1 : 0;
    this.#isLeavingOut = gone.size > 0 || isStuck;
    if (this.#nextRow !== undefined) return;
    if (gone.size > 0) this.#leaveOut(gone);
    else if (isStuck || this.#refusedTicks > ticks.silent) this.#renewEpoch(isStuck ? "joiner-stuck" : "refused");
  }

  #goneFollowers(): Map<string, string> {
    const gone = new Map<string, string>();
    for (const { server, standing, silentTicks, stalledTicks, troubledTicks } of this.#appending.followers) {
      if (standing !== "member") continue;
      if (troubledTicks > ticks.troubled) gone.set(server, "troubled");
      else if (silentTicks > ticks.silent) gone.set(server, "silent");
      else if (stalledTicks > ticks.stalled) gone.set(server, "stalled");
    }
    return gone;
  }

  #goneAsked(): Map<string, string> {
    const gone = new Map<string, string>();
    for (const { member, isParted, silentTicks, troubledTicks } of this.#takeover.others) {
      if (troubledTicks > ticks.troubled) gone.set(member.server, "troubled");
      else if (silentTicks > ticks.silent) gone.set(member.server, "silent");
      else if (isParted) gone.set(member.server, "parted");
    }
    if (this.#takeover.isOutrun) gone.set(this.#ports.server, "outrun");
    return gone;
  }

  /** Nobody is left out before the epoch without it is committed. */
  #leaveOut(gone: ReadonlyMap<string, string>): void {
    const next = withoutMembers(this.#row, (server) => gone.has(server));
    if (next === undefined) return;
    const [why = "silent"] = gone.values();
    if (this.#ports.rowChanges.ask(this.#row, next, why)) this.#ports.telemetry.count(metricNames.evictions, gone.size, { reason: why });
  }

  #renewEpoch(why: string): void {
    // What was promised in a later block of epochs is no next epoch of this one.
    const epoch = blockOf(this.#refusedBy) > blockOf(this.epoch) ? epochBeyond(this.#refusedBy) : this.epoch + 1;
    this.#ports.rowChanges.ask(this.#row, { ...this.#row, epoch }, why);
  }

  /** Undefined while other changes of the row go first. */
  #rowToJoin(): GroupRow | undefined {
    const mayJoin = this.#nextRow === undefined && !this.#isLeavingOut && this.#ports.log.trouble === undefined;
    return mayJoin ? this.#row : undefined;
  }

  #others(): readonly Member[] {
    return this.#row.members.filter(({ server }) => server !== this.#ports.server);
  }

  /** All members have promised, the longest of their logs is here: makes them equal. */
  #open(): void {
    const { log, telemetry } = this.#ports;
    telemetry.count(metricNames.takeovers);
    const beginning = beginningOf(log.entries.last, this.epoch, log.acceptedEpoch, log.replica);
    if (beginning.parting !== undefined && log.entries.end > 0)
      telemetry.log("warn", "group-history-parts", { epoch: this.epoch, after: log.entries.end, isAccepted: beginning.parting.isAccepted });
    const openings = this.#ports.history.openingsWith(log.entries, log.installed);
    this.#append(beginning);
    this.#openedIndex = log.entries.end;
    for (const { member, promised } of this.#takeover.others) {
      const { at, by } = promised?.last ?? { at: log.entries.base, by: "" };
      const sure = Math.max(log.entries.base.index, Math.min(promised?.committed.at.index ?? 0, log.entries.end));
      const isCommon = log.entries.has(at) && signed(openings, at).by === by;
      this.#appending.follow(member.server, member.replica, "member", isCommon ? at.index : sure);
    }
  }

  #append(body: EntryBody): void {
    const { log } = this.#ports;
    log.append(makeEntry(this.epoch, log.entries.end + 1, body, this.#writer));
  }

  /** Only what all members hold durably is committed; only then anybody is told. */
  #advance(): void {
    const { installing, log } = this.#ports;
    if (this.#isOver || !this.#takeover.isDone || !this.#appending.advance()) return;
    installing.upTo(this.#appending.committed, true);
    if (this.#ordering === undefined && log.installed.index >= this.#openedIndex) this.#serve();
    this.#ordering?.schedule();
    this.#tellCommitted();
  }

  #tellCommitted(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    // After what this turn may still order: then the word goes along with it.
    this.#ports.clock.turn(() => {
      this.#isTelling = false;
      if (!this.#isOver) this.#appending.tellCommitted();
    });
  }

  #serve(): void {
    const { clock, machine, roll, waiting, outcomes, log, mayTell } = this.#ports;
    const ahead = (): { entries: number; bytes: number; nextIndex: number } => {
      const { end } = log.entries;
      return { entries: end - log.installed.index, bytes: log.entries.bytesBetween(log.installed.index, end), nextIndex: end + 1 };
    };
    const copies = (): { count: number; min: number } => ({ count: this.#row.members.length, min: this.#row.copiesMin });
    const trouble = (): MusterError | undefined => log.trouble;
    const append = (body: EntryBody): void => this.#append(body);
    this.#moving = this.#slotsMove();
    const slots = this.#moving;
    this.#ordering = new Ordering(
      { clock, machine, roll, waiting, outcomes, append, ahead, copies, mayTell, trouble, slots },
      this.#limits,
    );
    this.#moving?.start();
    waiting.release();
    this.#ordering.leasesChanged();
  }

  #slotsMove(): Moving | undefined {
    const { telemetry, slots, partition, machine, waiting } = this.#ports;
    if (partition === undefined || machine.slots === undefined) return undefined;
    const arrived = (): void => {
      waiting.release();
      this.#ordering?.schedule();
    };
    return new Moving({ telemetry, slots, rows: machine.slots, partition, arrived });
  }

  #askToConfirm(server: string, round: number): void {
    for (const follower of this.#appending.followers)
      if (follower.server === server) this.#ports.send(follower, this.epoch, { kind: "confirm", round });
  }

  #cannotFollow(follower: Follower): void {
    if (follower.standing === "member") this.#leaveOut(new Map([[follower.server, "stalled"]]));
    else this.#joiners.feedAgain(follower);
  }
}
