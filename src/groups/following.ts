import type { MusterError } from "../kernel/index.ts";
import type { GroupLog } from "./group-log.ts";
import { sameBytes } from "./entry.ts";
import { otherHistory } from "./errors.ts";
import type { History } from "./history.ts";
import type { GroupMessage, GroupWord } from "./messages.ts";
import { type Signed, signed } from "./openings.ts";
import { batchBytesMax } from "./options.ts";

export interface FollowingPorts {
  readonly log: GroupLog;
  readonly history: History;
  readonly send: (server: string, epoch: number, toReplica: string, word: GroupWord) => void;
  /** Everything up to here is committed, and in the log. */
  readonly committed: (index: number) => void;
  /** This epoch is about to be promised. */
  readonly promising: (epoch: number) => void;
  /** The synchronising host of an epoch has spoken: this member obeys it. */
  readonly heard: (server: string, epoch: number) => void;
}

/** Whom this host owes an answer when its log has become durable. */
interface Master {
  readonly server: string;
  readonly replica: string;
  readonly epoch: number;
}

/**
 * A host's part while another one orders: promises epochs, takes entries in where they follow on what it has, confirms what is
 * durable. An epoch that is lower than its promise changes nothing here: neither log, nor state, nor queue.
 */
export class Following {
  readonly #ports: FollowingPorts;
  #master: Master | undefined;
  /** Up to here the log is the one of the synchronising host; of this epoch alone. */
  #matched = 0;
  #owesPromise = false;
  #owesAck = false;
  #acked = 0;
  #trouble: MusterError | undefined;

  constructor(ports: FollowingPorts) {
    this.#ports = ports;
  }

  /** What stands here contradicts what the synchronising host has. */
  get trouble(): MusterError | undefined {
    return this.#trouble;
  }

  /** False: it was of a lower epoch, and changed nothing. */
  receive(from: string, message: GroupMessage): boolean {
    const { log } = this.#ports;
    const { epoch, fromReplica, word } = message;
    if (epoch < log.promised) {
      this.#ports.send(from, epoch, fromReplica, { kind: "refused", promised: log.promised });
      return false;
    }
    if (epoch > log.promised) this.#ports.promising(epoch);
    log.promise(epoch);
    if (this.#master?.epoch !== epoch || this.#master.server !== from) {
      this.#master = { server: from, replica: fromReplica, epoch };
      this.#matched = 0;
      this.#acked = 0;
      this.#owesPromise = false;
      this.#owesAck = false;
    }
    this.#ports.heard(from, epoch);
    switch (word.kind) {
      case "promise":
        this.#owesPromise = true;
        break;
      case "append":
        this.#append(word);
        break;
      case "fetch":
        this.#answer(this.#master, word.after);
        break;
      case "confirm":
        this.#ports.send(from, epoch, fromReplica, { kind: "confirmed", round: word.round });
        break;
      default:
        break;
    }
    this.durable();
    return true;
  }

  /** Answers what waited for the log to become durable. */
  durable(): void {
    const master = this.#master;
    const { log } = this.#ports;
    if (master === undefined || log.promisedDurable < master.epoch) return;
    if (this.#owesPromise && log.durable === log.entries.end) {
      this.#owesPromise = false;
      const { last, base } = log.entries;
      const openings = this.#ports.history.openingsWith(log.entries, log.installed);
      this.#say(master, { kind: "promised", committed: signed(openings, log.installed), last: signed(openings, last), base });
    }
    if (!this.#owesAck) return;
    const end = Math.min(this.#matched, log.durable);
    // One answer for a batch; what brought nothing new is answered, too, because the first answer may be lost.
    if (end < this.#matched && end <= this.#acked) return;
    this.#owesAck = end < this.#matched;
    this.#acked = end;
    this.#say(master, { kind: "appended", end });
  }

  /** The store takes nothing: the synchronising host shall not wait for this member. */
  tellTrouble(): void {
    if (this.#master !== undefined) this.#say(this.#master, { kind: "troubled" });
  }

  /** A snapshot has taken the place of state and log. */
  restored(): void {
    this.#matched = 0;
    this.#trouble = undefined;
  }

  #append({ previous, commit, entries: sent }: Extract<GroupWord, { kind: "append" }>): void {
    const { log } = this.#ports;
    const { entries } = log;
    const base = entries.base.index;
    if (this.#master === undefined) return;
    if (previous.index >= base && !entries.has(previous)) {
      this.#say(this.#master, { kind: "behind", previous: previous.index, hint: this.#hint(previous.index) });
      return;
    }
    for (const entry of sent) {
      // What has been dropped was committed: it is the same everywhere.
      if (entry.index <= base) continue;
      const own = entries.at(entry.index);
      if (own?.epoch === entry.epoch && sameBytes(own.bytes, entry.bytes)) continue;
      if (entry.index <= log.installed.index) {
        this.#trouble = otherHistory(entry.index);
        return;
      }
      log.cut(entry.index - 1);
      log.append(entry);
    }
    this.#trouble = undefined;
    this.#matched = Math.max(this.#matched, previous.index + sent.length);
    this.#owesAck = true;
    // Entries beyond the matched ones may be others than those that are committed.
    this.#ports.committed(Math.min(commit, this.#matched));
  }

  /** The last entry that may be common: before the epoch of the one that is not, and never before what is committed. */
  #hint(previous: number): number {
    const { entries, installed } = this.#ports.log;
    if (previous > entries.end) return entries.end;
    const wrong = entries.epochAt(previous);
    let hint = previous - 1;
    while (hint > installed.index && entries.epochAt(hint) === wrong) hint--;
    return Math.max(hint, Math.min(installed.index, previous - 1));
  }

  /** Where it has another entry there, or none, it says so: their histories part. */
  #answer(master: Master, { at, by }: Signed): void {
    const { log, history } = this.#ports;
    const isHere = log.entries.has(at) && signed(history.openingsWith(log.entries, log.installed), at).by === by;
    const entries = isHere ? log.entries.slice(at.index, log.entries.end, batchBytesMax) : [];
    this.#say(master, { kind: "entries", previous: at, entries });
  }

  #say({ server, epoch, replica }: Master, word: GroupWord): void {
    this.#ports.send(server, epoch, replica, word);
  }
}
