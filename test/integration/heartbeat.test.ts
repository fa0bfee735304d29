import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FleetHandle } from "../../src/fleet/index.ts";
import type { Lapse } from "../../src/roll/index.ts";
import { LocalFleet } from "./local-fleet.ts";

/** A directory, an agent and a program over real sockets in one process, with the shortest periods. */
describe("a heartbeat that does not come runs the chosen action", () => {
  const fleet = new LocalFleet();
  const hooks: Lapse[] = [];
  let agent: FleetHandle;
  let program: FleetHandle;

  /** Resolves when the agent's roll tells the event that `wanted` accepts. */
  function told(table: string, wanted: (event: { event: string; key: string; valid: boolean }) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const subscription = agent.subscribe({ tables: [table] }, ({ event, entry }) => {
        if (!wanted({ event, key: entry?.key ?? "", valid: entry?.valid === true })) return;
        subscription.cancel();
        resolve();
      });
    });
  }

  before(async () => {
    const hook = (name: string, lapse: Lapse) => {
      if (name === "page") hooks.push(lapse);
    };
    const host = await fleet.startHost("HOST9", "127.0.0.9", { hook });
    agent = host.agent;
    program = await fleet.startProgram("program", host.door);
    for (const key of ["GW.1", "GW.2", "GW.3", "GW.4", "GW.5"])
      await program.add("gateway", key, { host: "HOST9", port: 80 }, { valid: false });
  });

  after(async () => {
    await fleet.close();
  });

  test("[DSD-13] it sets the entry valid; by default the lapse sets it invalid, and the next heartbeat valid again", async () => {
    const lapsed = told("gateway", ({ key, valid }) => key === "GW.1" && !valid);
    await program.heartbeat("gateway", "GW.1", { maxPeriodMs: 100 });
    assert.equal(program.get("gateway", "GW.1")?.valid, true);
    await lapsed;
    await program.heartbeat("gateway", "GW.1", { maxPeriodMs: 100 });
    assert.equal(program.get("gateway", "GW.1")?.valid, true);
  });

  test("[DSD-13] the lapse deletes the entry", async () => {
    const lapsed = told("gateway", ({ event, key }) => event === "Delete" && key === "GW.2");
    await program.heartbeat("gateway", "GW.2", { maxPeriodMs: 100, onExpiry: { action: "delete" } });
    await lapsed;
    assert.equal(agent.get("gateway", "GW.2"), undefined);
  });

  test("[DSD-13] the lapse adds an entry", async () => {
    const lapsed = told("gateway", ({ event, key }) => event === "Add" && key === "GW.30");
    const value = { host: "HOST9", port: 8080 };
    await program.heartbeat("gateway", "GW.3", { maxPeriodMs: 100, onExpiry: { action: "add", table: "gateway", key: "GW.30", value } });
    await lapsed;
    assert.deepEqual(agent.get("gateway", "GW.30")?.value, value);
    assert.equal(agent.get("gateway", "GW.3")?.valid, false);
  });

  test("[DSD-13] the lapse calls the configured hook, and no other can be named", async () => {
    const lapsed = told("gateway", ({ key, valid }) => key === "GW.4" && !valid);
    await program.heartbeat("gateway", "GW.4", { maxPeriodMs: 100, onExpiry: { action: "hook", name: "page" } });
    await lapsed;
    assert.deepEqual(
      hooks.map(({ key, cause }) => ({ key, cause })),
      [{ key: "GW.4", cause: "heartbeat" }],
    );
  });

  test("[DSD-13] an entry that the agent itself beats for, as it does for HTTP, lapses too", async () => {
    await program.add("gateway", "GW.6", { host: "HOST9", port: 80 }, { valid: false });
    const lapsed = told("gateway", ({ key, valid }) => key === "GW.6" && !valid);
    await agent.heartbeat("gateway", "GW.6", { maxPeriodMs: 100 });
    assert.equal(agent.get("gateway", "GW.6")?.valid, true);
    await lapsed;
    await agent.heartbeat("gateway", "GW.6", { maxPeriodMs: 100 });
    assert.equal(agent.get("gateway", "GW.6")?.valid, true);
  });

  test("heartbeats in time keep the entry valid", async () => {
    let lapses = 0;
    const subscription = agent.subscribe({ tables: ["gateway"], prefix: "GW.5" }, ({ entry }) => {
      if (entry?.valid === false) lapses++;
    });
    // Another entry's lapses measure the time: two of its periods pass while this one is kept.
    for (let round = 0; round < 2; round++) {
      const passed = told("gateway", ({ key, valid }) => key === "GW.1" && !valid);
      await program.heartbeat("gateway", "GW.1", { maxPeriodMs: 300 });
      const keeper = setInterval(() => void program.heartbeat("gateway", "GW.5", { maxPeriodMs: 200 }), 40);
      await passed;
      clearInterval(keeper);
    }
    subscription.cancel();
    assert.equal(lapses, 0);
    assert.equal(agent.get("gateway", "GW.5")?.valid, true);
  });

  test("a heartbeat for a key that does not exist is refused and names the next step", async () => {
    await assert.rejects(program.heartbeat("gateway", "GW.none", { maxPeriodMs: 200 }), { code: "roll/no-such-entry" });
    await assert.rejects(program.heartbeat("gateway", "GW.1", { maxPeriodMs: 5 }), { code: "fleet/bad-period" });
  });
});
