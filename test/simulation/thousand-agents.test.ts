import assert from "node:assert/strict";
import { test } from "node:test";
import { SimFleet } from "../../src/testing/index.ts";

const agents = 1000;

test("a thousand agents come back to a directory that was restarted: all within two seconds, and nobody is accused", async () => {
  const fleet = new SimFleet({ seed: 11, network: { latencyMs: 0.2, jitterMs: 0.3 } });
  const directory = fleet.addDirectory("D");
  const names = Array.from({ length: agents }, (_, index) => `H${index}`);
  for (const name of names) fleet.addAgent(name, { parents: ["D"] });
  await fleet.start();
  fleet.addClient("web", { agent: "H7" });
  await fleet.start("web");
  await fleet.until(fleet.client("web").serve("metadata", "MDS.1", { port: 1 }));
  const lost: string[] = [];
  const watcher = fleet.client("H500");
  watcher.subscribe({ tables: ["hosts", "metadata"] }, ({ event, entry }) => {
    if (event === "Delete" || entry?.valid === false) lost.push(`${event} ${entry?.key ?? ""}`);
  });
  directory.crash();
  await fleet.runFor(300);
  directory.restart();
  const restartedMs = fleet.world.nowMs;
  const isBack = () => names.every((name) => !fleet.member(name).node.detached) && !fleet.member("web").node.detached;
  assert.ok(await fleet.world.runUntil(isBack, restartedMs + 2000), "somebody is still detached after two seconds");
  await fleet.until(fleet.client("web").add("metadata", "MDS.2", { host: "H7", port: 2 }));
  assert.ok(await fleet.world.runUntil(() => watcher.find("metadata", "MDS.2") !== undefined, fleet.world.nowMs + 500));
  assert.deepEqual(lost, []);
});
