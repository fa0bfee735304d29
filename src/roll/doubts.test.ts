import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Listener } from "../transport/index.ts";
import { type EntryState, parseState } from "../tables/index.ts";
import { SimFleet } from "../testing/index.ts";

/** A server on HOST1 that listens (or not), and callers elsewhere that may doubt it. */
async function doubted(seed: number, listens = true) {
  const fleet = new SimFleet({ seed });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addAgent("HOST2");
  fleet.addClient("server", { agent: "HOST1", pulse: true });
  fleet.addClient("caller", { agent: "HOST2" });
  await fleet.start();
  let connections = 0;
  const open = () =>
    fleet.until(
      fleet.network.transport(fleet.member("server").sim).listen({ kind: "tcp", host: "HOST1", port: 1872 }, (connection) => {
        connections++;
        connection.open({ data: () => {}, drain: () => {}, close: () => {} });
      }),
    );
  const listener: Listener | undefined = listens ? await open() : undefined;
  await fleet.until(fleet.client("server").serve("metadata", "MDS.1.1", { port: 1872, maxPeriodMs: 300 }));
  await fleet.runFor(200);
  const caller = fleet.client("caller");
  const accuse = async () => {
    const value = { state: "doubted", reason: "HOST1:1872 cannot be reached", by: "HOST2", sinceUnixMs: 0 };
    await fleet.until(caller.add("states", "metadata/MDS.1.1", value));
  };
  return {
    fleet,
    accuse,
    open,
    listener,
    looks: () => connections,
    isValid: () => caller.get("metadata", "MDS.1.1")?.valid,
    state: (): EntryState | undefined => {
      const row = caller.get("states", "metadata/MDS.1.1");
      return row === undefined ? undefined : parseState(row.value);
    },
  };
}

describe("a server that callers doubt", () => {
  test("[DSD-19] stays when its watcher reaches it: one caller's word, or many words, take no server off the roll", async () => {
    const { fleet, accuse, isValid, state, looks } = await doubted(1);
    await accuse();
    await fleet.runFor(100);
    assert.equal(isValid(), true);
    assert.equal(state(), undefined, "the doubt is answered");
    assert.equal(looks(), 1);
    for (let round = 0; round < 100; round++) {
      await accuse();
      await fleet.runFor(50);
    }
    assert.equal(isValid(), true);
    assert.ok(looks() <= 8, `looked at ${looks()} times in 5 s`);
    await fleet.runFor(2000);
    assert.equal(state(), undefined);
  });

  test("[DSD-19] is dead when nothing listens on its port, and comes back when something does", async () => {
    const { fleet, accuse, isValid, state, listener, open } = await doubted(2);
    await fleet.until(listener?.close() ?? Promise.resolve());
    await fleet.runFor(5000);
    assert.equal(isValid(), true, "nobody has asked for it");
    await accuse();
    await fleet.runFor(200);
    assert.equal(isValid(), false);
    assert.equal(state()?.state, "dead");
    assert.match(state()?.reason ?? "", /nothing listens on its port \(HOST1:1872 refused the connection\)/);
    await fleet.runFor(5000);
    assert.equal(isValid(), false, "its heartbeats do not bring it back while nothing listens");
    await open();
    await fleet.runFor(2500);
    assert.equal(isValid(), true);
    assert.equal(state(), undefined);
  });

  test("stays when nothing can be found out: a port that does not answer is no proof", async () => {
    const { fleet, accuse, isValid, state } = await doubted(3);
    fleet.member("server").pause();
    await accuse();
    await fleet.runFor(150);
    assert.equal(isValid(), true);
    await fleet.runFor(500);
    assert.equal(state()?.state, "hung", "its heartbeat decides");
  });

  test("a doubt replaces nothing that its watcher says", async () => {
    const { fleet, accuse, state } = await doubted(4);
    fleet.member("server").stall();
    await fleet.runFor(600);
    assert.equal(state()?.state, "stalled");
    await accuse();
    await fleet.runFor(100);
    assert.equal(state()?.state, "stalled");
  });

  test("an agent that was restarted answers the doubts that it finds", async () => {
    const { fleet, accuse, state, isValid } = await doubted(5, false);
    fleet.member("HOST1").pause();
    await accuse();
    fleet.member("HOST1").restart();
    await fleet.runFor(3000);
    assert.equal(isValid(), false);
    assert.equal(state()?.state, "dead");
  });
});
