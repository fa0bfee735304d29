/** Names of the metrics that requests emit. */
export const metricNames = Object.freeze({
  pending: "muster_requests_pending",
  sent: "muster_requests_sent",
  channels: "muster_request_channels",
  serving: "muster_requests_serving",
  served: "muster_requests_served",
  moved: "muster_requests_moved_total",
  unknown: "muster_requests_unknown_total",
  expired: "muster_requests_expired_total",
  budgetSpent: "muster_requests_budget_spent_total",
  refused: "muster_requests_refused_total",
  cancelled: "muster_requests_cancelled_total",
  handlerFailures: "muster_request_handler_failures_total",
  silences: "muster_request_silences_total",
  doubts: "muster_request_doubts_total",
});
