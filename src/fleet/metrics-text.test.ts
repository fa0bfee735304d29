import assert from "node:assert/strict";
import { test } from "node:test";
import { noRequests } from "../requests/index.ts";
import { prometheusText } from "./metrics-text.ts";

test("a type's numbers as Prometheus reads them: buckets that add up, labels that are quoted", () => {
  const text = prometheusText({
    requests: {
      ...noRequests,
      sent: 12,
      types: [
        {
          service: 'a"b',
          type: "sta\\t",
          answered: 3,
          notAwaited: 0,
          failed: 1,
          latencyMs: {
            sum: 4.5,
            p50: 1,
            p90: 2,
            p99: 2,
            p999: 2,
            buckets: [
              { endMs: 0.5, count: 1 },
              { endMs: Number.POSITIVE_INFINITY, count: 3 },
            ],
          },
          moved: 2,
          budgetSpent: 0,
          budgetWaits: 3,
          copies: { twin: 4, hedge: 5, all: 0 },
          copiesUnpaid: { twin: 0, hedge: 0 },
          wins: { first: 1, twin: 2, hedge: 3, all: 0 },
          bothStarted: 6,
        },
      ],
    },
  });
  const lines = text.split("\n");
  const labels = String.raw`service="a\"b",type="sta\\t"`;
  for (const line of [
    "# TYPE muster_fleet_request_duration_ms histogram",
    `muster_fleet_request_duration_ms_bucket{${labels},le="0.5"} 1`,
    `muster_fleet_request_duration_ms_bucket{${labels},le="+Inf"} 3`,
    `muster_fleet_request_duration_ms_sum{${labels}} 4.5`,
    `muster_fleet_request_duration_ms_count{${labels}} 3`,
    `muster_fleet_request_copies_total{${labels},kind="hedge"} 5`,
    `muster_fleet_request_copy_wins_total{${labels},copy="twin"} 2`,
    `muster_fleet_request_both_started_total{${labels}} 6`,
    "muster_fleet_requests_sent_total 12",
  ])
    assert.ok(lines.includes(line), line);
  assert.equal(lines.filter((line) => line.startsWith("# TYPE muster_fleet_request_duration_ms ")).length, 1);
  assert.ok(text.endsWith("\n"));
});

test("without requests there are no families of types", () => {
  assert.ok(!prometheusText({ requests: noRequests }).includes("duration"));
});
