/** Names of the metrics that the routes emit. */
export const metricNames = {
  sent: "muster_probes_sent_total",
  proven: "muster_probes_proven_total",
  /** With the label `reason`: mac, malformed, stale, replayed, limit. */
  refused: "muster_probes_refused_total",
  lateTicks: "muster_probe_late_ticks_total",
  routesCut: "muster_routes_cut_total",
  inquiries: "muster_route_inquiries_total",
  watched: "muster_probed_hosts",
} as const;
