import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SimFleet } from "../testing/index.ts";

const reapAfterMs = 10_000;
/** Given up, then as old as it takes, then the next pass. */
const reapedMs = 2000 + 1.6 * reapAfterMs;

async function fleetOf(hosts: number): Promise<SimFleet> {
  const fleet = new SimFleet({ seed: 7, periods: { reapAfterMs } });
  fleet.addDirectory();
  for (let host = 1; host <= hosts; host++) fleet.addAgent(`HOST${host}`, { routes: [`10.0.0.${host}`, `10.1.0.${host}`] });
  fleet.addClient("caller", { agent: "HOST1" });
  fleet.addClient("server", { agent: "HOST2" });
  await fleet.start();
  return fleet;
}

function keys(fleet: SimFleet, table: string): readonly string[] {
  return fleet
    .client("caller")
    .search(table)
    .map(({ key }) => key);
}

describe("what nobody comes back to", () => {
  test("a host goes with its routes, its state, and the servers that its programs had bound", async () => {
    const fleet = await fleetOf(3);
    await fleet.until(fleet.client("server").serve("metadata", "MDS.1.1", { port: 1 }));
    await fleet.until(fleet.client("caller").serve("metadata", "MDS.1.2", { port: 1 }));
    for (const name of ["server", "HOST2", "HOST3"]) fleet.member(name).crash("silent");
    await fleet.runFor(reapAfterMs);
    assert.deepEqual(keys(fleet, "hosts"), ["HOST1", "HOST2", "HOST3"]);
    assert.equal(fleet.client("caller").get("metadata", "MDS.1.1")?.valid, false);
    await fleet.runFor(reapedMs - reapAfterMs);
    assert.deepEqual(keys(fleet, "hosts"), ["HOST1"]);
    assert.deepEqual(keys(fleet, "host-route"), ["HOST1.0", "HOST1.1"]);
    assert.deepEqual(keys(fleet, "states"), []);
    assert.deepEqual(keys(fleet, "metadata"), ["MDS.1", "MDS.1.2"]);
    assert.deepEqual(fleet.client("caller").get("metadata", "MDS.1")?.value, { members: ["MDS.1.2"] });
  });

  test("a host that was removed comes back like a new one", async () => {
    const fleet = await fleetOf(3);
    fleet.member("HOST3").crash();
    await fleet.runFor(reapedMs);
    assert.deepEqual(keys(fleet, "hosts"), ["HOST1", "HOST2"]);
    fleet.member("HOST3").restart();
    await fleet.runFor(1000);
    assert.equal(fleet.client("caller").get("hosts", "HOST3")?.valid, true);
    assert.equal(fleet.client("caller").get("host-route", "HOST3.1")?.valid, true);
    fleet.member("HOST3").crash();
    await fleet.runFor(2000);
    assert.equal(fleet.client("caller").get("hosts", "HOST3")?.valid, false);
  });

  test("a host that comes back in time begins anew", async () => {
    const fleet = await fleetOf(3);
    for (let round = 0; round < 4; round++) {
      fleet.member("HOST3").crash();
      await fleet.runFor(0.6 * reapAfterMs);
      fleet.member("HOST3").restart();
      await fleet.runFor(500);
    }
    fleet.member("HOST3").crash();
    await fleet.runFor(0.9 * reapAfterMs);
    assert.deepEqual(keys(fleet, "hosts"), ["HOST1", "HOST2", "HOST3"]);
  });

  test("a host that a person added stays, and one that something lies on which a person added", async () => {
    const fleet = await fleetOf(3);
    const caller = fleet.client("caller");
    await fleet.until(caller.add("hosts", "BY-HAND", {}));
    await fleet.until(caller.add("host-route", "BY-HAND.0", "10.9.9.9"));
    await fleet.until(caller.change([{ op: "set-valid", table: "hosts", key: "BY-HAND", valid: false }]));
    await fleet.until(caller.add("gateway", "GW.1", { host: "HOST3", port: 1 }));
    fleet.member("HOST3").crash();
    await fleet.runFor(2 * reapedMs);
    assert.deepEqual(keys(fleet, "hosts"), ["BY-HAND", "HOST1", "HOST2", "HOST3"]);
    assert.equal(caller.get("gateway", "GW.1")?.valid, false);
    await fleet.until(caller.delete("gateway", "GW.1"));
    await fleet.runFor(reapAfterMs);
    assert.deepEqual(keys(fleet, "hosts"), ["BY-HAND", "HOST1", "HOST2"]);
  });

  test("a living host that an operator set invalid stays, with the servers of its programs", async () => {
    const fleet = await fleetOf(2);
    await fleet.until(fleet.client("server").serve("metadata", "MDS.1", { port: 1 }));
    await fleet.until(fleet.client("caller").change([{ op: "set-valid", table: "hosts", key: "HOST2", valid: false }]));
    await fleet.runFor(reapedMs);
    assert.deepEqual(keys(fleet, "hosts"), ["HOST1", "HOST2"]);
    assert.deepEqual(keys(fleet, "metadata"), ["MDS.1"]);
  });
});
