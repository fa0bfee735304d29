/** Names of the metrics that ordering groups emit. */
export const metricNames = {
  commitMs: "muster_group_commit_ms",
  committed: "muster_group_entries_committed_total",
  takeovers: "muster_group_takeovers_total",
  /** With the label `reason`: silent, stalled, troubled, own-disk, lost-disk. */
  evictions: "muster_group_evictions_total",
  joined: "muster_group_joined_total",
  snapshots: "muster_group_snapshots_total",
  /** With the label `reason`: malformed, replica, epoch, sender. */
  dropped: "muster_group_messages_dropped_total",
  /** Steps of slots on their way between groups, with the label `step`: sealed, adopting, adopted, released. */
  slots: "muster_group_slot_steps_total",
  lateTicks: "muster_group_late_ticks_total",
} as const;
