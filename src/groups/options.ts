import { limits } from "../kernel/index.ts";
import type { GroupPorts } from "./ports.ts";

export interface GroupMemberOptions {
  readonly ports: GroupPorts;
  /** Key of this server, e.g. "MDS.1.2". */
  readonly server: string;
  /**
   * With fewer members writes are refused. It goes into the row with whatever this member changes there. Default: 1, and 2 from the third
   * member on.
   */
  readonly copiesMin?: number;
  /** Whether this member makes the row when there is none. Default true. */
  readonly found?: boolean;
  /** The one period of this member; everything below is counted in it. Default 50 ms. */
  readonly tickMs?: number;
  readonly limits?: Partial<GroupLimits>;
}

/** What a message holds at most, so that it fits into a frame of a link with everything that is wrapped around it. */
export const messageBytesMax = limits.frameBytesMax - 64 * 1024;
/** One entry of the log, less its fixed fields and names. */
export const entryBytesMax = messageBytesMax - 8 * 1024;
/** A batch of entries or a part of a snapshot is closed at this size; one that is larger goes alone. */
export const batchBytesMax = 1024 * 1024;
/** UTF-8 bytes of a lease's name, a type's, and a revision's. */
export const nameBytesMax = 256;

export const tickMsDefault = 50;

/** Numbers of own ticks. A tick that came late is not one of them: who was away accuses nobody. */
export const ticks = Object.freeze({
  /** Without progress, what was sent is sent again. */
  resend: 3,
  /** Without anything else to say, the synchronising host says that it is there. */
  beat: 4,
  /** A member that says nothing for so long while the roll takes it for valid is left out of the next epoch. */
  silent: 40,
  /** One that talks but takes nothing in. */
  stalled: 160,
  /** The synchronising host gets more time, so that of two that do not hear one another it is the one that stays. */
  silentLeader: 80,
  /** And the members do not ask all at once. */
  silentRank: 10,
  /** A member whose store refuses is left out after so long. */
  troubled: 20,
  /** How often a joiner knocks. */
  join: 6,
  /** And one that was told that it cannot come in. */
  joinDenied: 40,
  /** Whether the state has become small enough for a joiner is not looked at more often. */
  joinTooLarge: 1200,
  /** A joiner that hears nothing begins again. */
  joinSilent: 40,
  /** A joiner that the roll refuses to name is not waited for, and may come again after so long. */
  joinRefused: 20,
  /** A tick that comes so late may mean that the member was left out meanwhile: less than whatever notices that one is gone takes. */
  away: 10,
  /** After a late tick nobody is judged for so long. */
  lateGrace: 3,
  /** After a refused change of the row. */
  rowRetry: 5,
  /** A change of the row that nobody answered is taken for one that may have happened. */
  rowUnknown: 100,
  /** A rejected commit is tried again. */
  storeRetry: 4,
});

/** At each of them something is refused or waits; none is ever passed. */
export interface GroupLimits {
  /** Copies of requests that wait, and their bytes; more are refused (`groups/queue-full`). */
  readonly queueMax: number;
  readonly queueBytesMax: number;
  /** Open requests of one lease: sequence less the lowest open one (`groups/window-full`). */
  readonly windowMax: number;
  /** Callers whose outcomes are kept (`groups/too-many-leases`). */
  readonly leasesMax: number;
  /** Ended leases that are remembered; of older ones the roll knows. */
  readonly endedMax: number;
  /** Bytes of all kept outcomes (`groups/outcomes-full`). */
  readonly outcomeBytesMax: number;
  /** Entries that are ordered and not yet committed; then ordering waits. */
  readonly aheadMax: number;
  readonly aheadBytesMax: number;
  /** Committed entries are kept up to so many bytes and so many entries, for members that come back; four times that while one takes a snapshot. */
  readonly logBytesMax: number;
  readonly logEntriesMax: number;
  /** Servers that catch up at a time; others wait. */
  readonly joinersMax: number;
  /** Reads that wait for a round of `latest` (`groups/too-many-reads`). */
  readonly latestMax: number;
  /** A request that runs longer than this is given up; its outcome is an error. */
  readonly executeMsMax: number;
  /** A part of a slot on its way to another group is closed at this size; one row that is larger goes alone. */
  readonly slotPartBytesMax: number;
  /** What a joiner takes in as a snapshot, in all; a larger state cannot be joined (`groups/state-too-large`). */
  readonly stateBytesMax: number;
}

export const groupLimits: GroupLimits = Object.freeze({
  queueMax: 10_000,
  queueBytesMax: 64 * 1024 * 1024,
  windowMax: 1024,
  leasesMax: 65_536,
  endedMax: 65_536,
  outcomeBytesMax: 256 * 1024 * 1024,
  aheadMax: 4096,
  aheadBytesMax: 16 * 1024 * 1024,
  logBytesMax: 64 * 1024 * 1024,
  logEntriesMax: 200_000,
  joinersMax: 4,
  latestMax: 10_000,
  executeMsMax: 30_000,
  slotPartBytesMax: batchBytesMax,
  stateBytesMax: 1024 * 1024 * 1024,
});
