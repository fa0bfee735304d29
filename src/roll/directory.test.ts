import assert from "node:assert/strict";
import { test } from "node:test";
import { tableNumbers } from "../tables/index.ts";
import { SimFleet } from "../testing/index.ts";

test("a fleet that an older version founded gets the built-in tables that it lacks when the next reign begins, and keeps its own", async () => {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory("directory", { mappings: { "metadata-partition": "modulus:16" } });
  await fleet.start();
  fleet.member("directory").crash();
  const { batch } = await fleet.disk.copy();
  const older = (batch.entries ?? []).filter(
    ({ table, key }) => table !== tableNumbers.tables || !["states", "request-types", "groups"].includes(key),
  );
  assert.equal(older.length, (batch.entries?.length ?? 0) - 3);
  await fleet.disk.restore({ batch: { ...batch, entries: older } });
  fleet.member("directory").restart();
  await fleet.runFor(100);
  const { replica } = fleet.member("directory").node;
  assert.equal(replica.table("states")?.number, tableNumbers.states);
  assert.equal(replica.table("request-types")?.number, tableNumbers.requestTypes);
  assert.equal(replica.table("groups")?.number, tableNumbers.groups);
  assert.notEqual(replica.row(tableNumbers.tables, "groups"), undefined, "on the roll, not only known to this version");
  assert.deepEqual(replica.table("metadata-partition")?.mapping, { by: "modulus", modulus: 16 });
  fleet.member("directory").restart();
  const { sequence } = replica.position;
  await fleet.runFor(100);
  const { position } = fleet.member("directory").node;
  assert.equal(position.sequence, sequence + 2, "the next reign and its own admission, and no table");
});

test("an agent whose name is taken is refused at each tick, and said to be once", async () => {
  const told: string[] = [];
  const fleet = new SimFleet({
    seed: 2,
    telemetry: (member) => ({
      log: (_level, event) => void (event === "not-admitted" && told.push(member)),
      count: () => {},
      gauge: () => {},
      observe: () => {},
    }),
  });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  await fleet.start();
  const twin = fleet.addAgent("twin", { nodeName: "HOST1" });
  twin.start();
  await fleet.runFor(3000);
  assert.equal(twin.node.lastError?.code, "roll/host-name-taken");
  assert.deepEqual(told, ["twin"]);
});

test("after an adoption, hosts and relays that the rows name and that do not come back are given up", async () => {
  const fleet = new SimFleet({ seed: 3 });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addAgent("HOST2");
  fleet.addClient("web", { agent: "HOST2" });
  await fleet.start();
  await fleet.until(fleet.client("web").serve("metadata", "MDS.1", { port: 1 }));
  await fleet.until(fleet.client("web").add("hosts", "STANDING", { rack: 4 }));
  await fleet.runFor(100);
  fleet.member("directory").crash();
  fleet.disk.lose();
  fleet.member("HOST2").crash("silent");
  fleet.network.partition(["HOST2"], ["*"]);
  fleet.member("directory").restart();
  await fleet.runFor(1000);
  const valid = (host: string) => fleet.client("HOST1").get("hosts", host)?.valid;
  assert.equal(valid("HOST2"), true, "within its grace");
  await fleet.runFor(2000);
  assert.equal(valid("HOST2"), false);
  assert.equal(valid("HOST1"), true);
  assert.equal(valid("STANDING"), true, "no agent ever wrote it");
});
