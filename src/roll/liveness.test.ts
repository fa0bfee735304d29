import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FleetEvent } from "../fleet/index.ts";
import { type EntryState, parseState } from "../tables/index.ts";
import { SimFleet } from "../testing/index.ts";

const maxPeriodMs = 300;
const route = { host: "HOST1", port: 1872, maxPeriodMs };

interface Stage {
  readonly fleet: SimFleet;
  /** What an agent on another host knows of the server, besides its row. */
  readonly state: () => EntryState | undefined;
  readonly isValid: () => boolean | undefined;
  /** Virtual time at which the other agent was told that the row is as asked. */
  readonly told: (wanted: (event: FleetEvent) => boolean) => () => number | undefined;
}

/** A server on HOST1 whose handle beats by a thread (`pulse`) or by its main loop, and an agent on HOST2 that looks on. */
async function serving(seed: number, pulse: boolean): Promise<Stage> {
  const fleet = new SimFleet({ seed });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addAgent("HOST2");
  fleet.addClient("server", { agent: "HOST1", pulse });
  await fleet.start();
  await fleet.until(fleet.client("server").serve("metadata", "MDS.1.1", route));
  await fleet.runFor(1000);
  const onlooker = fleet.member("HOST2").handle;
  return {
    fleet,
    state: () => {
      const row = onlooker.get("states", "metadata/MDS.1.1");
      return row === undefined ? undefined : parseState(row.value);
    },
    isValid: () => onlooker.get("metadata", "MDS.1.1")?.valid,
    told: (wanted) => {
      let atMs: number | undefined;
      onlooker.subscribe({ tables: ["metadata", "states"] }, (event) => {
        if (atMs === undefined && wanted(event)) atMs = fleet.world.nowMs;
      });
      return () => atMs;
    },
  };
}

const isInvalid = ({ table, entry }: FleetEvent) => table === "metadata" && entry?.key === "MDS.1.1" && !entry.valid;

describe("a server that does not get on", () => {
  for (const pulse of [true, false])
    test(`[DSD-13] [DSD-22] stopped (${pulse ? "pulses" : "beats"}): hung within its own period, and valid again when it goes on`, async () => {
      const { fleet, state, isValid, told } = await serving(1, pulse);
      const known = told(isInvalid);
      const stoppedMs = fleet.world.nowMs;
      fleet.member("server").pause();
      await fleet.runFor(500);
      assert.equal(isValid(), false);
      const afterMs = (known() ?? Number.POSITIVE_INFINITY) - stoppedMs;
      assert.ok(afterMs <= 350, `known elsewhere after ${afterMs} ms`);
      assert.equal(state()?.state, "hung");
      assert.match(state()?.reason ?? "", /its program server \(process \d+\) sent no heartbeat for 300 ms, its max period/);
      assert.equal(state()?.by, "HOST1");
      fleet.member("server").resume();
      await fleet.runFor(500);
      assert.equal(isValid(), true);
      assert.equal(state(), undefined, "with the entry's return its state is gone");
    });

  test("in an endless loop: stalled and avoided, but valid; hung when it stays so; back when it turns", async () => {
    const { fleet, state, isValid, told } = await serving(2, true);
    const known = told(isInvalid);
    const stalledMs = fleet.world.nowMs;
    fleet.member("server").stall();
    await fleet.runFor(600);
    assert.equal(state()?.state, "stalled");
    assert.match(state()?.reason ?? "", /its event loop has not turned for \d+ ms \(its max period is 300 ms\)/);
    assert.equal(isValid(), true);
    await fleet.runFor(1500);
    assert.equal(isValid(), true, "the agent gave its silent link up meanwhile, which proves nothing");
    await fleet.runFor(1500);
    assert.equal(isValid(), false);
    assert.equal(state()?.state, "hung");
    assert.match(state()?.reason ?? "", /its event loop stood still for 3\d\d\d ms/);
    const afterMs = (known() ?? 0) - stalledMs;
    assert.ok(afterMs > 10 * maxPeriodMs && afterMs < 11.5 * maxPeriodMs, `hung after ${afterMs} ms`);
    fleet.member("server").resume();
    await fleet.runFor(1000);
    assert.equal(isValid(), true);
    assert.equal(state(), undefined);
  });

  test("lookups pass over a stalled server while another is left", async () => {
    const { fleet } = await serving(10, true);
    fleet.addClient("second", { agent: "HOST2", pulse: true });
    await fleet.start();
    await fleet.until(fleet.client("server").serve("gateway", "GW.1", { port: 80, maxPeriodMs }));
    await fleet.until(fleet.client("second").serve("gateway", "GW.2", { port: 80, maxPeriodMs }));
    await fleet.runFor(100);
    const { handle } = fleet.member("HOST2");
    const found = () => new Set(Array.from({ length: 4 }, () => handle.find("gateway", "GW")?.instance));
    assert.deepEqual(found(), new Set(["GW.1", "GW.2"]));
    fleet.member("server").stall();
    await fleet.runFor(600);
    assert.deepEqual(found(), new Set(["GW.2"]));
    assert.deepEqual(
      handle.findAll("gateway", "GW").map(({ instance }) => instance),
      ["GW.2", "GW.1"],
    );
    fleet.member("second").stall();
    await fleet.runFor(600);
    assert.deepEqual(found(), new Set(["GW.1", "GW.2"]), "when all are stalled, all are left");
  });

  test("busy for a moment: stalled for that moment, never invalid", async () => {
    const { fleet, state, isValid, told } = await serving(3, true);
    const invalid = told(isInvalid);
    for (let round = 0; round < 5; round++) {
      fleet.member("server").stall();
      await fleet.runFor(800);
      assert.equal(state()?.state, "stalled");
      fleet.member("server").resume();
      await fleet.runFor(300);
      assert.equal(state(), undefined);
    }
    assert.equal(invalid(), undefined);
    assert.equal(isValid(), true);
  });

  test("a main loop that beats by itself and stands still is hung: nothing tells it from a stopped one", async () => {
    const { fleet, state } = await serving(4, false);
    fleet.member("server").stall();
    await fleet.runFor(400);
    assert.equal(state()?.state, "hung");
  });

  test("killed: dead, with its process as the reason; killed in an endless loop as well, although its link is gone", async () => {
    for (const seed of [5, 6]) {
      const { fleet, state, isValid } = await serving(seed, true);
      if (seed === 6) {
        fleet.member("server").stall();
        await fleet.runFor(1200);
        assert.equal(isValid(), true);
      }
      fleet.member("server").crash();
      await fleet.runFor(50);
      assert.equal(isValid(), false);
      assert.equal(state()?.state, "dead");
      assert.match(state()?.reason ?? "", /its program server \(process \d+\) has ended/);
    }
  });

  test("one that leaves without taking its entry off the roll is stopped; one that takes it off leaves no state", async () => {
    const { fleet, state, isValid } = await serving(7, true);
    await fleet.until(fleet.client("server").node.close());
    await fleet.runFor(100);
    assert.equal(isValid(), false);
    assert.equal(state()?.state, "stopped");
    fleet.member("server").restart();
    await fleet.runFor(500);
    const served = await fleet.until(fleet.client("server").serve("metadata", "MDS.1.1", route));
    await fleet.runFor(100);
    assert.equal(state(), undefined);
    await fleet.until(served.close());
    await fleet.runFor(100);
    assert.equal(isValid(), undefined);
    assert.equal(state(), undefined);
  });

  test("while its agent restarts pulses and beats find it again, and nothing is seen elsewhere", async () => {
    const { fleet, isValid, told } = await serving(8, true);
    const seen = told(({ entry }) => entry?.key.includes("MDS") === true);
    for (let round = 0; round < 3; round++) {
      fleet.member("HOST1").restart();
      await fleet.runFor(1500);
    }
    assert.equal(seen(), undefined);
    assert.equal(isValid(), true);
    fleet.member("server").stall();
    await fleet.runFor(800);
    assert.equal(isValid(), true, "the new agent knows whose pulses these are");
  });

  test("an older program's heartbeat revives nothing that another program holds, and does not change its period", async () => {
    const { fleet, isValid } = await serving(9, false);
    fleet.addClient("younger", { agent: "HOST1" });
    await fleet.start();
    fleet.member("server").pause();
    await fleet.runFor(500);
    assert.equal(isValid(), false);
    await fleet.until(fleet.client("younger").serve("metadata", "MDS.1.1", { ...route, port: 1873, maxPeriodMs: 600 }));
    fleet.member("server").resume();
    await fleet.runFor(2000);
    const row = fleet.member("HOST2").handle.get("metadata", "MDS.1.1");
    assert.deepEqual(row?.value, { host: "HOST1", port: 1873 });
    fleet.member("younger").pause();
    await fleet.runFor(400);
    assert.equal(isValid(), true, "600 ms are its period, whatever the older one said");
    await fleet.runFor(400);
    assert.equal(isValid(), false, "the older one's beats keep nothing alive");
  });
});
