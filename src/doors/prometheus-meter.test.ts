import assert from "node:assert/strict";
import { test } from "node:test";
import { PrometheusMeter } from "./prometheus-meter.ts";

const linesOf = async (meter: PrometheusMeter, name: string) =>
  (await meter.render()).text.split("\n").filter((line) => line.startsWith(name));

test("counters add up by label set, gauges are read when somebody looks, and a second look shows what is new", async () => {
  const meter = new PrometheusMeter();
  let children = 1;
  meter.gauge("muster_children", () => children);
  meter.count("muster_loads_total");
  meter.count("muster_turns_total", 2, { verdict: "failed" });
  meter.count("muster_turns_total", 1, { verdict: "healthy" });
  assert.deepEqual(await linesOf(meter, "muster_children"), ["muster_children 1"]);
  meter.count("muster_turns_total", 3, { verdict: "failed" });
  children = 7;
  assert.deepEqual(await linesOf(meter, "muster_children"), ["muster_children 7"]);
  assert.deepEqual(await linesOf(meter, "muster_turns_total"), [
    'muster_turns_total{verdict="failed"} 5',
    'muster_turns_total{verdict="healthy"} 1',
  ]);
  assert.deepEqual(await linesOf(meter, "muster_loads_total"), ["muster_loads_total 1"]);
});

test("histograms keep what was observed before anybody looked", async () => {
  const meter = new PrometheusMeter();
  for (const value of [0.3, 3, 30]) meter.observe("muster_commit_ms", value);
  assert.deepEqual(await linesOf(meter, "muster_commit_ms_count"), ["muster_commit_ms_count 3"]);
  meter.observe("muster_commit_ms", 1);
  const lines = await linesOf(meter, "muster_commit_ms");
  assert.ok(lines.includes('muster_commit_ms_bucket{le="5"} 3'), lines.join("\n"));
  assert.ok(lines.includes("muster_commit_ms_count 4"));
});

test("a label that takes ever new values, and observations that nobody looks at, fill no memory; what is dropped is counted", async () => {
  const meter = new PrometheusMeter();
  for (let index = 0; index < 1500; index++) meter.count("muster_odd_total", 1, { path: String(index) });
  for (let index = 0; index < 5000; index++) meter.observe("muster_commit_ms", 1);
  assert.equal((await linesOf(meter, "muster_odd_total")).length, 1000);
  assert.deepEqual(await linesOf(meter, "muster_commit_ms_count"), ["muster_commit_ms_count 4096"]);
  assert.deepEqual(await linesOf(meter, "muster_metrics_dropped"), [`muster_metrics_dropped ${500 + 904}`]);
});
