/** The names of what these clients count. */
export const metrics = Object.freeze({
  /** Requests, by how they ended: answered, failed, unknown. */
  requests: "muster_fetch_requests_total",
  /** Attempts after the first of a request, by what ended the one before. */
  resent: "muster_fetch_resent_total",
  /** Servers that this program has reported as not to be reached. */
  doubted: "muster_fetch_doubted_total",
});
