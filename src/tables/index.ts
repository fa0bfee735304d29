/**
 * The tables of one node. A `Replica` holds rows {key, value, valid} of any number of tables, moves from one revision to the next
 * by whole changes, answers lookups from memory, and tells subscribers exactly what differs. What tables there are, what
 * their rows may hold, and what follows from them (validity by host, the primary of a service instance) is decided here.
 *
 * The intuition: one mutable object a row, found by a map and by a sorted index; everything that is handed out is a frozen
 * view made on demand. Rejected: persistent (immutable) trees, because snapshots are rare and lookups are not; parsing
 * values when they arrive, because most are never looked at.
 */
export {
  type Mapping,
  type TableDefinition,
  type TableKind,
  builtInTableRows,
  parseMapping,
  parseTableDefinition,
  tableNumbers,
  tableRowText,
  userTableNumberMin,
} from "./definition.ts";
export type { Entry } from "./entry.ts";
export {
  type GroupMember,
  type GroupRow,
  anyReplica,
  groupEpochBlock,
  groupKey,
  groupMembersMax,
  groupRowValue,
  groupsTable,
  instanceOfServer,
  parseGroupRow,
  readGroupRow,
  targetOfGroupKey,
  withoutMembers,
} from "./group-row.ts";
export { hostOfText } from "./host-rows.ts";
export { isBelow, parseHostName, parseHostRouteKey, parseKey, parseTableName } from "./key.ts";
export {
  type PartitionRow,
  type SlotMove,
  type SlotOwner,
  type SlotRun,
  flawOfPartition,
  foundingRevision,
  moveOf,
  ownerOf,
  parsePartitionRow,
  partitionKey,
  partitionRowValue,
  partitionsTable,
  readPartitionRow,
  slotOf,
  slotsCount,
  spreadOver,
  withMoves,
  withOwners,
} from "./partition-row.ts";
export { type PrimaryLookup, groupOf, primaryOf } from "./primary.ts";
export { Replica, type ReplicaObserver, type ReplicaOptions, type TableSummary } from "./replica.ts";
export type { StoredRow } from "./row.ts";
export { type EntryState, type StateName, isAvoided, parseState, stateKey, statesTable, targetOfStateKey } from "./state.ts";
export type { Range, StagedLoad } from "./staged-load.ts";
export type { FleetEvent, SubscribeOptions, Subscription } from "./subscriptions.ts";
export {
  type ServerRoute,
  formatServerRoute,
  isRouteValue,
  membersMax,
  membersOf,
  parseRouteAddress,
  parseRouteText,
  parseText,
  parseValue,
  partitionTarget,
} from "./value.ts";
export { type Where, attributesOf, formatWhere, matches } from "./where.ts";
