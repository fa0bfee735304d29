/**
 * Ordering groups: the servers of one service instance keep one state together and make each write exactly once. One of them, the
 * synchronising host, orders and runs the requests; what each did, answer included, is an entry of a log, and an entry counts when
 * all members of the epoch hold it durably. The intuition: the roll says who is a member (compare-and-set, one epoch at a time), so
 * the group itself never votes; it only makes sure that everybody in the epoch has the same log, and that nobody obeys an older epoch.
 * Rejected: majorities inside each group (two copies are the common case), running each request at every member (handlers would
 * have to be deterministic), leases by clocks for reads.
 */
export { badResult } from "./errors.ts";
export { GroupMember } from "./member.ts";
export { KeyedState, type KeyedHandler, type KeyedReader, type KeyedStateOptions, type KeyedTransaction } from "./keyed-state.ts";
export { type GroupLimits, type GroupMemberOptions, groupLimits } from "./options.ts";
export { SlottedState } from "./slotted-state.ts";
export { type SlotPart, type SlotWanted, readSlotPart, readSlotWanted, writeSlotPart, writeSlotWanted } from "./slot-step.ts";
export type { SlotStatus, SlotVerdict } from "./slots.ts";
export type {
  Executed,
  GroupMachine,
  GroupPartition,
  GroupPorts,
  GroupRoll,
  OrderedRequest,
  Outcome,
  Position,
  Question,
  RequestId,
  Settled,
  SlotClaim,
  SlotRows,
  StateChange,
  StateRow,
  Submission,
} from "./ports.ts";
export type { GroupRole, GroupStatus } from "./status.ts";
