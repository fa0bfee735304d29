import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type JsonValue, isRecord } from "../kernel/index.ts";
import { SimFleet } from "../testing/index.ts";

async function serving(pulse: boolean) {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory();
  fleet.addAgent("HOST1");
  fleet.addAgent("HOST2");
  fleet.addClient("server", { agent: "HOST1", pulse });
  fleet.addClient("asker", { agent: "HOST2" });
  await fleet.start();
  await fleet.until(fleet.client("server").serve("metadata", "MDS.1.1", { port: 1, maxPeriodMs: 300 }));
  await fleet.runFor(500);
  const ask = async (verb: string, args: JsonValue) => fleet.until(fleet.client("asker").query(verb, args));
  const why = async (key: string) => {
    const answer = await ask("why", { key });
    assert.ok(isRecord(answer) && Array.isArray(answer.findings));
    const [finding] = answer.findings;
    assert.ok(isRecord(finding) && Array.isArray(finding.because));
    return { ...finding, because: finding.because.map(String), usable: finding.usable, state: finding.state ?? null };
  };
  return { fleet, why, ask };
}

const nameOf = (state: unknown) => (isRecord(state) ? state.state : state);

describe("why tells the state of a server, since when, and the reason", () => {
  test("a killed one is dead, and is not called bound to a live program", async () => {
    const { fleet, why } = await serving(true);
    assert.equal(nameOf((await why("MDS.1.1")).state), null);
    fleet.member("server").crash();
    await fleet.runFor(200);
    const { because, state, usable } = await why("MDS.1.1");
    assert.equal(nameOf(state), "dead");
    assert.equal(usable, false);
    assert.ok(
      because.some((reason) => /^it is dead since 20\d\d-.*Z, says HOST1: its program server \(process \d+\) has ended$/.test(reason)),
    );
    assert.ok(because.some((reason) => reason.startsWith("it was bound to a program that HOST1 watches")));
    assert.ok(!because.some((reason) => /live program/.test(reason)), because.join("\n"));
  });

  test("a stalled one is usable, but passed over; its service instance says so too", async () => {
    const { fleet, why } = await serving(true);
    fleet.member("server").stall();
    await fleet.runFor(600);
    const { because, state, usable } = await why("MDS.1.1");
    assert.equal(nameOf(state), "stalled");
    assert.equal(usable, true);
    assert.ok(
      because.some((reason) => /^it is stalled since .* its event loop .*; lookups pass over it while others are left$/.test(reason)),
    );
    assert.ok((await why("MDS.1")).because.some((reason) => reason.startsWith("MDS.1.1: it is stalled since")));
  });

  test("hosts show that their agent is away", async () => {
    const { fleet, why, ask } = await serving(false);
    fleet.member("HOST1").crash();
    await fleet.runFor(600);
    const { because } = await why("MDS.1.1");
    assert.ok(
      because.some((reason) => reason.startsWith("of its host HOST1: it is unwatched since")),
      because.join("\n"),
    );
    const hosts = await ask("hosts", { host: "HOST1" });
    assert.ok(Array.isArray(hosts) && isRecord(hosts[0]));
    assert.equal(nameOf(hosts[0].state ?? null), "unwatched");
    assert.equal(nameOf((await why("HOST1")).state), "unwatched");
  });
});
