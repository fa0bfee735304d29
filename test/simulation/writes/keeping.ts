import type { Position } from "../../../src/groups/index.ts";
import type { StoreBatch } from "../../../src/storage/index.ts";
import { type GroupMember, type GroupRow, anyReplica } from "../../../src/tables/index.ts";
import { violation } from "../roll/violation.ts";
import { CommittedLog, type CommittedLogPorts } from "./committed-log.ts";
import { DurableCopy } from "./durable.ts";
import { markOf } from "./stored-format.ts";

export interface KeepingPorts extends CommittedLogPorts {
  /** The row, and all rows that somebody has asked for in its place and that may yet come. */
  readonly rows: () => Iterable<GroupRow>;
  /** Data that is gone with its disk. */
  readonly isLost: (replica: string) => boolean;
  /** Entries from here on have never been. */
  readonly gone: (from: number) => void;
}

/** An entry by its name, wherever it lies, and the epoch of the one before it. */
interface Named {
  readonly bytes: Uint8Array;
  before: number | undefined;
}

/** Somebody has accepted that copies are given up, from this epoch on. */
export interface Loss {
  readonly epoch: number;
  /** So much every member holds that is there, and so much is still there when the epoch begins. */
  readonly each: number;
  readonly kept: number;
  /** Whoever holds more may take what the group has instead; otherwise it stays outside with its copy, until somebody says what is to go. */
  readonly isAccepted: boolean;
}

/** Entries that an older roll has put out of history, and a copy that has them still. */
interface Parted {
  readonly copy: DurableCopy;
  readonly entries: readonly { readonly index: number; readonly bytes: Uint8Array }[];
}

/**
 * I17 and I18 for everything that was committed, at the instant at which they are broken: what any member takes for committed lies on the
 * disk of every member of the row, and of every row that may take its place, and stays there. So whoever is left can go on. Epoch and index
 * name one entry, and one history that leads to it, on all disks.
 */
export class Keeping {
  readonly log: CommittedLog;
  readonly #ports: KeepingPorts;
  /** By server and identity. */
  readonly #copies = new Map<string, DurableCopy>();
  readonly #named = new Map<string, Named>();
  #loss: Loss | undefined;
  #parted: readonly Parted[] = [];
  cutBacks = 0;
  /** So much of what was committed before it is there still. */
  keptAtLoss = 0;
  #lossEpoch = 0;

  constructor(ports: KeepingPorts) {
    this.#ports = ports;
    this.log = new CommittedLog(ports);
  }

  copy({ server, replica }: GroupMember): DurableCopy | undefined {
    return this.#copies.get(`${server} ${replica}`);
  }

  /** A batch has become durable at a server. */
  stored(server: string, batch: StoreBatch): void {
    const mark = markOf(batch);
    if (mark === undefined) violation("I17", `${server} stores a batch without its mark`);
    const { replica } = mark;
    const copy = this.copy({ server, replica }) ?? new DurableCopy();
    this.#copies.set(`${server} ${replica}`, copy);
    if (mark.promised < (copy.mark?.promised ?? 0))
      violation("I19", `${server} stores a promise of ${mark.promised} after one of ${copy.mark?.promised ?? 0}`);
    const { isOther, written } = copy.apply(mark, batch);
    for (const index of written) this.#name(server, copy, index);
    if (!isOther) return;
    this.cutBacks++;
    for (const { entries, copy: parted } of this.#parted)
      if (parted === copy && entries.some(({ index, bytes }) => !copy.holds(index, bytes)))
        violation("I17", `${server} gives up what was answered before an older roll was put back, and nobody has said so`);
    for (const row of this.#ports.rows())
      if (row.members.some((member) => member.server === server && member.replica === replica))
        this.#demandAll({ server, replica }, `${server}, a member of epoch ${row.epoch}, has another log now, and`);
  }

  #name(server: string, copy: DurableCopy, index: number): void {
    const entry = copy.at(index);
    if (entry === undefined) return;
    const name = `${entry.epoch}.${index}`;
    const before = copy.epochAt(index - 1);
    const known = this.#named.get(name);
    if (known === undefined) {
      this.#named.set(name, { bytes: entry.bytes, before });
      return;
    }
    if (Buffer.compare(known.bytes, entry.bytes) !== 0) violation("I18", `${server} has another entry ${name} than others`);
    known.before ??= before;
    if (before !== undefined && known.before !== before)
      violation("I18", `${server} has entry ${name} behind one of epoch ${before}, others have it behind one of ${known.before ?? 0}`);
  }

  /** A member takes everything up to `index` for committed: then all members hold it, and so do all who may be named next. */
  claims(server: string, replica: string, index: number): void {
    const own = this.copy({ server, replica });
    if (this.#loss !== undefined && own !== undefined && this.#goesOnElse(this.#loss, own, index)) this.#settleLoss(this.#loss, own);
    const { log } = this;
    if (index <= log.end) return;
    for (let next = log.end + 1; next <= index; next++) {
      const entry = own?.at(next);
      if (entry === undefined) violation("I17", `${server} takes ${next} for committed, and does not hold it durably itself`);
      for (const row of this.#ports.rows())
        for (const member of row.members)
          if (this.#counts(member) && this.copy(member)?.holds(next, entry.bytes) !== true)
            violation("I17", `${server} takes ${entry.epoch}.${next} for committed, and ${member.server} of epoch ${row.epoch} lacks it`);
      log.add(server, next, entry.bytes);
    }
  }

  /** These members are about to be named, or somebody asks for it. */
  demandKept({ epoch, members }: GroupRow, what: string): void {
    for (const member of members) this.#demandAll(member, `${what} epoch ${epoch} with ${member.server}, which`);
  }

  #demandAll(member: GroupMember, what: string): void {
    if (!this.#counts(member)) return;
    const copy = this.copy(member);
    const end = Math.min(this.log.end, this.#loss?.each ?? this.log.end);
    for (let index = end; index > 0; index--) {
      const entry = this.log.at(index);
      if (entry !== undefined && copy?.holds(index, entry.bytes) !== true) {
        violation("I17", `${what} lacks the committed ${entry.epoch}.${index}`);
      }
    }
  }

  #counts({ replica }: GroupMember): boolean {
    return replica !== anyReplica && !this.#ports.isLost(replica);
  }

  /** Somebody confirms in this epoch everything up to `end`: of what is committed it holds that much, and not merely as many entries. */
  demandConfirmed(member: GroupMember, epoch: number, end: number): void {
    const index = Math.min(end, this.log.end);
    const entry = this.log.at(index);
    if (entry === undefined || entry.epoch > epoch || this.#loss !== undefined) return;
    if (this.copy(member)?.holds(index, entry.bytes) !== true)
      violation(
        "I17",
        `${member.server} confirms ${end} in epoch ${epoch}, and another entry than ${entry.epoch}.${index} is durable there`,
      );
  }

  /** How much of what is committed this copy holds. */
  heldBy(member: GroupMember): number {
    const copy = this.copy(member);
    for (let index = Math.min(this.log.end, copy?.end ?? 0); index > 0; index--) {
      const entry = this.log.at(index);
      if (entry !== undefined && copy?.holds(index, entry.bytes) === true) return index;
    }
    return 0;
  }

  /** What really stays shows when something is committed in that epoch. */
  acceptLoss(loss: Loss): void {
    this.#loss = loss;
    this.#lossEpoch = loss.epoch;
  }

  /** Whether this copy has not yet heard that the entry at `index` which it holds is no part of history any more. */
  isElsewhere(member: GroupMember, index: number): boolean {
    if (this.#lossEpoch === 0 || this.isLossOpen || index <= this.keptAtLoss) return false;
    return (this.copy(member)?.mark?.promised ?? 0) < this.#lossEpoch;
  }

  /** Whether this was an entry before a loss was accepted, and is none any more. */
  isGone({ epoch, index }: Position): boolean {
    if (this.#lossEpoch === 0 || this.isLossOpen || index <= this.keptAtLoss) return false;
    return epoch < this.#lossEpoch && this.log.at(index)?.epoch !== epoch;
  }

  /** How many servers have it, or had it on a disk that is gone since. */
  holders(index: number): number {
    const entry = this.log.at(index);
    const servers = new Set<string>();
    for (const [name, copy] of this.#copies)
      if (entry !== undefined && copy.holds(index, entry.bytes)) servers.add(name.split(" ")[0] ?? "");
    return servers.size;
  }

  /** Nothing has been committed since. */
  get isLossOpen(): boolean {
    return this.#loss !== undefined;
  }

  /** Whether somebody goes on after the loss: what it takes for committed is new, or another entry than the one that was there. */
  #goesOnElse({ epoch }: Loss, own: DurableCopy, index: number): boolean {
    const entry = own.at(index);
    if (entry === undefined || (own.mark?.promised ?? 0) < epoch) return false;
    const before = this.log.at(index);
    return before === undefined || Buffer.compare(before.bytes, entry.bytes) !== 0;
  }

  #settleLoss({ kept: floor, epoch, isAccepted }: Loss, own: DurableCopy): void {
    this.#loss = undefined;
    const last = this.log.at(floor);
    if (last !== undefined && !own.holds(floor, last.bytes))
      violation("I17", `epoch ${epoch} begins without the committed ${last.epoch}.${floor}, which a member had that was there`);
    let kept = floor;
    for (; kept < this.log.end; kept++) {
      const entry = this.log.at(kept + 1);
      if (entry === undefined || !own.holds(kept + 1, entry.bytes)) break;
    }
    this.keptAtLoss = kept;
    if (kept === this.log.end) return;
    const lost = this.log.from(kept + 1);
    if (!isAccepted)
      this.#parted = Array.from(this.#copies.values(), (copy) => ({
        copy,
        entries: lost.filter(({ index, bytes }) => copy.holds(index, bytes)),
      }));
    this.log.truncate(kept);
    this.#ports.gone(kept + 1);
  }
}
