import type { FleetMetrics } from "./fleet.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [suffix: string, labels: Labels, value: number];

/**
 * What `fleet.metrics()` gives, in Prometheus' text form (version 0.0.4), to be put behind what the program's own registry says: the names
 * are its own. Times are in milliseconds, as in all of Muster's metrics.
 */
export function prometheusText({ requests }: FleetMetrics): string {
  const { types, pending, sent, channels, typesLeftOut } = requests;
  const lines: string[] = [];
  const family = (name: string, kind: "counter" | "gauge" | "histogram", help: string, samples: readonly Sample[]) => {
    if (samples.length === 0) return;
    lines.push(`# HELP muster_fleet_${name} ${help}`, `# TYPE muster_fleet_${name} ${kind}`);
    for (const [suffix, labels, value] of samples) lines.push(`muster_fleet_${name}${suffix}${textOf(labels)} ${numberOf(value)}`);
  };
  const plain = (value: number): readonly Sample[] => [["", {}, value]];
  family("requests_pending", "gauge", "requests without an outcome", plain(pending));
  family("requests_sent_total", "counter", "messages that asked a server for something", plain(sent));
  family("request_channels", "gauge", "connections to servers", plain(channels));
  family("request_types_left_out", "gauge", "types of requests that are not shown", plain(typesLeftOut));
  const labelled = types.map((metrics) => ({ metrics, labels: { service: metrics.service, type: metrics.type } }));
  family(
    "request_duration_ms",
    "histogram",
    "from the call to the answer",
    labelled.flatMap(({ metrics: { latencyMs, answered }, labels }): readonly Sample[] => [
      ...latencyMs.buckets.map(({ endMs, count }): Sample => ["_bucket", { ...labels, le: numberOf(endMs) }, count]),
      ["_sum", labels, latencyMs.sum],
      ["_count", labels, answered],
    ]),
  );
  const counter = (name: string, help: string, read: (metrics: (typeof types)[number]) => number) =>
    family(
      name,
      "counter",
      help,
      labelled.map(({ metrics, labels }): Sample => ["", labels, read(metrics)]),
    );
  const split = (name: string, help: string, label: string, read: (metrics: (typeof types)[number]) => Readonly<Record<string, number>>) =>
    family(
      name,
      "counter",
      help,
      labelled.flatMap(({ metrics, labels }) =>
        Object.entries(read(metrics)).map(([kind, value]): Sample => ["", { ...labels, [label]: kind }, value]),
      ),
    );
  counter("request_not_awaited_total", "members of a gather that were not waited for", ({ notAwaited }) => notAwaited);
  counter("request_failures_total", "requests that were sent and ended in an error", ({ failed }) => failed);
  counter("requests_moved_total", "requests sent again, or to another server", ({ moved }) => moved);
  counter("request_budget_spent_total", "requests that failed because the budget was spent", ({ budgetSpent }) => budgetSpent);
  counter("request_budget_waits_total", "times that a request waited for what its next attempt costs", ({ budgetWaits }) => budgetWaits);
  counter("request_both_started_total", "pairs of copies that both began", ({ bothStarted }) => bothStarted);
  split("request_copies_total", "further copies of reads", "kind", ({ copies }) => copies);
  split("request_copies_unpaid_total", "copies not sent because the budget was spent", "kind", ({ copiesUnpaid }) => copiesUnpaid);
  split("request_copy_wins_total", "of requests with several copies, which was answered first", "copy", ({ wins }) => wins);
  return `${lines.join("\n")}\n`;
}

function textOf(labels: Labels): string {
  const named = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return named.length === 0 ? "" : `{${named.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function numberOf(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "+Inf" : String(value);
}
