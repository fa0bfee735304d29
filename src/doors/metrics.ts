/** The names of what the doors count. */
export const metricNames = Object.freeze({
  requests: "muster_http_requests_total",
  requestMs: "muster_http_request_ms",
  watchers: "muster_http_watchers",
});
