/** What the tables count. */
export const metrics = Object.freeze({
  /** Subscriptions whose queue was full, so that events became one `Subscribe`. */
  subscriptionOverflows: "muster_subscription_overflows_total",
  /** Handlers that threw or rejected. */
  handlerFailures: "muster_subscription_handler_failures_total",
});
