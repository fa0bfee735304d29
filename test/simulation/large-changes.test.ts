import assert from "node:assert/strict";
import { test } from "node:test";
import type { Operation } from "../../src/fleet/index.ts";
import { SimFleet } from "../../src/testing/index.ts";

/** Limits hold for one change; here many legal ones come together. */
async function smallFleet() {
  const fleet = new SimFleet({ seed: 5, network: { systemBytesMax: 1024 * 1024 } });
  fleet.addDirectory("D");
  fleet.addAgent("H1", { parents: ["D"] });
  fleet.addClient("writer", { agent: "H1" });
  fleet.addClient("reader", { agent: "H1" });
  await fleet.start();
  await fleet.until(fleet.client("writer").addTable("big"));
  return fleet;
}

const adds = (from: number, valueBytes: number, count = 100): Operation[] =>
  Array.from({ length: count }, (_, index) => ({ op: "add", table: "big", key: `K.${from + index}`, value: "x".repeat(valueBytes) }));

test("a commit of many large changes reaches everybody, in frames that a link takes", async () => {
  const fleet = await smallFleet();
  const directory = fleet.client("D");
  const changes = Array.from({ length: 24 }, (_, number) => directory.change(adds(number * 100, 9000)));
  await fleet.until(Promise.all(changes), 60_000);
  assert.ok(await fleet.world.runUntil(() => fleet.client("reader").search("big").length === 2400, fleet.world.nowMs + 60_000));
});

test("a change above the limit is refused before it has a number, and the writer goes on", async () => {
  const fleet = await smallFleet();
  const writer = fleet.client("writer");
  await assert.rejects(fleet.until(writer.change(adds(0, 60_000))), { code: "roll/change-too-large", next: /split/ });
  await fleet.until(writer.change(adds(0, 9000)));
  assert.equal(fleet.client("reader").node.lastError, undefined);
});

test("a change is refused when what follows from it is too large", async () => {
  const fleet = await smallFleet();
  const writer = fleet.client("writer");
  const long = "n".repeat(380);
  const servers = (from: number, count: number, instance: string): Operation[] =>
    Array.from({ length: count }, (_, index) => ({
      op: "add",
      table: "gateway",
      key: `GW.${instance}.${long}${from + index}`,
      value: { host: "H1", port: 1 },
    }));
  await fleet.until(writer.change(servers(0, 100, "1")));
  await assert.rejects(fleet.until(writer.change(servers(100, 100, "1"))), { code: "roll/instance-full" });
  // The rows of forty instances, 39 KB each, are written again as a whole for one more server in each.
  for (let instance = 2; instance < 42; instance++) await fleet.until(writer.change(servers(0, 98, String(instance))));
  const one = Array.from({ length: 40 }, (_, index) => servers(200, 1, String(index + 2))).flat();
  await assert.rejects(fleet.until(writer.change(one)), { code: "roll/change-too-large" });
  await fleet.until(writer.change(one.slice(0, 10)));
});
