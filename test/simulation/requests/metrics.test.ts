import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestTypeMetrics } from "../../../src/requests/index.ts";
import { MusterError } from "../../../src/kernel/index.ts";
import { type RequestStage, threeServers } from "./stage.ts";

function metricsOf(stage: RequestStage, type: string): RequestTypeMetrics {
  const found = stage.fleet
    .client("caller")
    .metrics()
    .requests.types.find((one) => one.service === "MDS" && one.type === type);
  assert.ok(found !== undefined);
  return found;
}

test("what a program counts of its requests is what became of them", async () => {
  const stage = await threeServers({ workMs: 20, concurrency: 1 });
  // The caller knows nothing of what keeps one of them busy.
  const busy = Array.from({ length: 10 }, () => stage.ask("s3", "MDS.1.1", "act"));
  await stage.fleet.runFor(5);
  const started = stage.nowMs;
  const endings = await stage.fleet.until(
    Promise.all(Array.from({ length: 30 }, () => stage.ask("caller", "MDS", "look", { deadlineMs: 5000 }))),
  );
  await stage.fleet.until(Promise.all(busy));
  await stage.fleet.runFor(50);
  const { answered, failed, latencyMs, copies, wins, copiesUnpaid, bothStarted, moved } = metricsOf(stage, "look");
  assert.deepEqual([answered, failed, moved], [30, 0, 0]);
  const sum = endings.reduce((all, { tookMs }) => all + tookMs, 0);
  assert.ok(Math.abs(latencyMs.sum - sum) < 30, `${latencyMs.sum} ms, ${sum} ms`);
  assert.ok(latencyMs.p50 >= 20 && latencyMs.p999 <= 1.25 * (stage.nowMs - started));
  assert.equal(latencyMs.buckets.at(-1)?.count, 30);
  assert.ok(copies.twin > 5 && copies.all === 0, JSON.stringify(copies));
  const won = wins.first + wins.twin + wins.hedge;
  assert.ok(wins.twin > 0 && won <= 30, JSON.stringify(wins));
  assert.ok(bothStarted <= copies.twin && copiesUnpaid.twin >= 0);
  const { pending, sent, channels } = stage.fleet.client("caller").metrics().requests;
  assert.deepEqual([pending, sent, channels], [0, 30 + copies.twin + copies.hedge, 3]);
});

test("members that were not waited for have not failed", async () => {
  const stage = await threeServers({ workMs: (server) => (server === "s1" ? 1 : 50) });
  const { complete } = await stage.fleet.until(stage.fleet.client("caller").gather("MDS", "look", 1, { until: "first" }));
  await stage.fleet.runFor(100);
  const { answered, failed, notAwaited } = metricsOf(stage, "look");
  assert.deepEqual([complete, answered, failed, notAwaited], [true, 1, 0, 2]);
});

test("re-sends and failures are counted by type", async () => {
  const stage = await threeServers({
    workMs: 20,
    answer: (type) => {
      if (type === "act") throw new MusterError("test/wrong", "as the test says");
      return "answer";
    },
  });
  assert.equal((await stage.asked("caller", "MDS", "act")).error?.code, "test/wrong");
  const asked = Array.from({ length: 9 }, () => stage.ask("caller", "MDS", "again", { deadlineMs: 5000 }));
  await stage.fleet.runFor(5);
  stage.member("s1").crash();
  await stage.fleet.until(Promise.all(asked));
  const [act, again] = [metricsOf(stage, "act"), metricsOf(stage, "again")];
  assert.deepEqual([act.answered, act.failed, act.latencyMs.p50], [0, 1, Number.NaN]);
  assert.equal(again.answered, 9);
  assert.ok(again.moved >= 2 && again.moved <= 5, `${again.moved}`);
});
