import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FleetEvent } from "../fleet/index.ts";
import { type EntryState, parseState } from "../tables/index.ts";
import { SimFleet } from "../testing/index.ts";

async function stage(seed: number) {
  const fleet = new SimFleet({ seed });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addAgent("HOST2");
  fleet.addClient("server", { agent: "HOST1" });
  fleet.addClient("operator", { agent: "HOST2" });
  await fleet.start();
  const operator = fleet.client("operator");
  return {
    fleet,
    operator,
    state: (key: string): EntryState | undefined => {
      const row = operator.get("states", key);
      return row === undefined ? undefined : parseState(row.value);
    },
    mark: (key: string, name: string) =>
      fleet.until(operator.add("states", key, { state: name, reason: "said by the operator", by: "operator", sinceUnixMs: 1 })),
    serve: (name: string, key: string) => fleet.until(fleet.client(name).serve("metadata", key, { port: 1, maxPeriodMs: 300 })),
  };
}

describe("what is known of a server besides its validity", () => {
  test("the change that invalidates says why: no handler sees the one without the other", async () => {
    const { fleet, operator, serve } = await stage(1);
    await serve("server", "MDS.1.1");
    await fleet.runFor(100);
    const seen: unknown[] = [];
    operator.subscribe({ tables: ["metadata", "states"] }, (event: FleetEvent) => {
      const state = operator.get("states", "metadata/MDS.1.1");
      seen.push([event.table, operator.get("metadata", "MDS.1.1")?.valid, state === undefined ? "none" : parseState(state.value).state]);
    });
    fleet.member("server").crash();
    await fleet.runFor(100);
    assert.deepEqual(seen, [
      ["metadata", false, "dead"],
      ["states", false, "dead"],
    ]);
  });

  test("a program with 120 entries ends in three changes, each entry with its reason", async () => {
    const { fleet, operator, state } = await stage(2);
    const keys = Array.from({ length: 120 }, (_, index) => `GW.${index}`);
    await fleet.until(Promise.all(keys.map((key) => fleet.client("server").serve("gateway", key, { port: 1 }))));
    await fleet.runFor(100);
    const before = operator.position.sequence;
    fleet.member("server").crash();
    await fleet.runFor(100);
    assert.ok(keys.every((key) => operator.get("gateway", key)?.valid === false && state(`gateway/${key}`)?.state === "dead"));
    // Three for the entries, and the end of the program's session.
    assert.ok(operator.position.sequence - before <= 4, `${operator.position.sequence - before} changes`);
  });

  test("what an operator drains stays drained while its program is hung and when it returns, and another program begins anew", async () => {
    const { fleet, serve, state, mark } = await stage(3);
    await serve("server", "MDS.1.1");
    await mark("metadata/MDS.1.1", "draining");
    fleet.member("server").pause();
    await fleet.runFor(500);
    assert.equal(state("metadata/MDS.1.1")?.state, "draining");
    assert.match(state("metadata/MDS.1.1")?.reason ?? "", /^said by the operator; hung: its program server/);
    fleet.member("server").resume();
    await fleet.runFor(500);
    assert.equal(state("metadata/MDS.1.1")?.state, "draining");
    fleet.member("server").restart();
    await fleet.runFor(500);
    assert.equal(state("metadata/MDS.1.1")?.state, "draining");
    await serve("server", "MDS.1.1");
    await fleet.runFor(100);
    assert.equal(state("metadata/MDS.1.1"), undefined);
  });

  test("a doubt is written where nothing is known, and replaces nothing", async () => {
    const { fleet, operator, serve, state, mark } = await stage(4);
    await serve("server", "MDS.1.1");
    await mark("metadata/MDS.1.1", "draining");
    await mark("metadata/MDS.1.1", "doubted");
    assert.equal(state("metadata/MDS.1.1")?.state, "draining");
    await fleet.until(operator.delete("states", "metadata/MDS.1.1"));
    await mark("metadata/MDS.1.1", "doubted");
    assert.equal(state("metadata/MDS.1.1")?.state, "doubted");
  });

  test("the state goes with the entry", async () => {
    const { fleet, operator, serve, state, mark } = await stage(5);
    const served = await serve("server", "MDS.1.1");
    await mark("metadata/MDS.1.1", "draining");
    await fleet.until(served.close());
    await fleet.runFor(100);
    assert.equal(state("metadata/MDS.1.1"), undefined);
    await fleet.until(operator.add("gateway", "GW.1", { host: "HOST2", port: 1 }));
    await mark("gateway/GW.1", "draining");
    await fleet.until(operator.delete("gateway", "GW.1"));
    assert.equal(state("gateway/GW.1"), undefined);
  });
});
