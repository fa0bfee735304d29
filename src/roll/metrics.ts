import type { Meter } from "../kernel/index.ts";
import type { RollNode } from "./node.ts";

/** Names of the metrics that the roll emits. */
export const metricNames = {
  entries: "muster_entries",
  sequence: "muster_position_sequence",
  epoch: "muster_position_epoch",
  ageMs: "muster_age_ms",
  detached: "muster_detached",
  ringChanges: "muster_ring_changes",
  ringBytes: "muster_ring_bytes",
  children: "muster_children",
  childrenBehind: "muster_children_behind",
  openChanges: "muster_open_changes",
  watched: "muster_watched_entries",
  unwatched: "muster_unwatched_entries",
  commitMs: "muster_commit_ms",
  loads: "muster_loads_total",
  childrenSetApart: "muster_children_set_apart_total",
  changesDropped: "muster_changes_dropped_total",
  lateTicks: "muster_late_ticks_total",
  guardHolds: "muster_guard_holds_total",
  guardedHosts: "muster_guarded_hosts",
} as const;

/** Gauges that are read off a node whenever somebody looks. */
export function meterNode(node: RollNode, meter: Meter): void {
  const status = (name: string) => () => Number(node.status()[name] ?? 0);
  meter.gauge(metricNames.entries, () => node.replica.size);
  meter.gauge(metricNames.sequence, () => node.position.sequence);
  meter.gauge(metricNames.epoch, () => node.position.epoch);
  meter.gauge(metricNames.ageMs, () => (Number.isFinite(node.ageMs) ? node.ageMs : -1));
  meter.gauge(metricNames.detached, () => (node.detached ? 1 : 0));
  meter.gauge(metricNames.ringChanges, () => node.log.length);
  meter.gauge(metricNames.ringBytes, () => node.log.bytes);
  meter.gauge(metricNames.children, status("children"));
  meter.gauge(metricNames.childrenBehind, status("childrenBehind"));
  meter.gauge(metricNames.openChanges, status("openChanges"));
  meter.gauge(metricNames.watched, status("watched"));
  meter.gauge(metricNames.unwatched, status("unwatched"));
  if (node.options.role === "directory") meter.gauge(metricNames.guardedHosts, () => node.guardedHosts);
}
