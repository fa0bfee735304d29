import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { SimFleet } from "./sim-fleet.ts";

/** A directory, two relays and three hosts; a web server on HOST1, somebody who looks for it on the others. */
async function smallFleet(seed = 1): Promise<SimFleet> {
  const fleet = new SimFleet({ seed });
  fleet.addDirectory();
  fleet.addRelay("relay-a");
  fleet.addRelay("relay-b");
  for (const host of ["HOST1", "HOST2", "HOST3"]) fleet.addAgent(host);
  fleet.addClient("web", { agent: "HOST1" });
  fleet.addClient("caller", { agent: "HOST2" });
  await fleet.start();
  return fleet;
}

function validAt(fleet: SimFleet, key: string): readonly (boolean | undefined)[] {
  return fleet.members.filter(({ alive }) => alive).map(({ handle }) => handle.get("metadata", key)?.valid);
}

describe("a simulated fleet", () => {
  test("a program that is killed is invalid at every node within 50 ms, and valid again after it was restarted and serves", async () => {
    const fleet = await smallFleet();
    await fleet.until(fleet.client("web").serve("metadata", "MDS.1", { port: 1872 }));
    await fleet.runFor(20);
    assert.deepEqual(new Set(validAt(fleet, "MDS.1")), new Set([true]));
    assert.equal(fleet.client("caller").find("metadata", "MDS.1")?.host, "HOST1");
    fleet.member("web").crash();
    await fleet.runFor(50);
    assert.deepEqual(new Set(validAt(fleet, "MDS.1")), new Set([false]));
    assert.equal(fleet.client("caller").find("metadata", "MDS.1"), undefined);
    fleet.member("web").restart();
    await fleet.until(fleet.client("web").node.ready());
    await fleet.until(fleet.client("web").serve("metadata", "MDS.1", { port: 1872 }));
    await fleet.runFor(20);
    assert.deepEqual(new Set(validAt(fleet, "MDS.1")), new Set([true]));
  });

  test("[DSD-11] a change from any process goes through its agent to the directory, is pushed to every agent, and its caller reads it at once", async () => {
    const fleet = await smallFleet();
    const caller = fleet.client("caller");
    const hops = { directory: 0 };
    fleet.client("directory").subscribe({ tables: ["metadata"] }, () => void hops.directory++);
    for (const [act, expected] of [
      [() => caller.add("metadata", "MDS.7", { host: "HOST3", port: 1 }), 1],
      [() => caller.add("metadata", "MDS.7", { host: "HOST3", port: 2 }), 2],
      [() => caller.delete("metadata", "MDS.7"), undefined],
    ] as const) {
      const revision = await fleet.until(act());
      const port = (name: string) => {
        const value = fleet.client(name).get("metadata", "MDS.7")?.value;
        return value !== null && typeof value === "object" && "port" in value ? value["port"] : undefined;
      };
      assert.equal(port("caller"), expected, "the caller reads its own write");
      await fleet.until(caller.settled(revision));
      for (const { name, handle } of fleet.members) {
        assert.equal(port(name), expected, `${name} has the change`);
        assert.ok(handle.position.sequence >= revision.sequence);
      }
    }
    assert.equal(hops.directory, 3);
    // The agent is the only way: without it, a change waits.
    fleet.network.partition(["HOST2"], ["*"]);
    const waiting = caller.add("metadata", "MDS.8", { host: "HOST3", port: 1 });
    await assert.rejects(fleet.until(waiting, 400), (error) => error instanceof MusterError && error.code === "testing/unsettled");
    fleet.network.heal();
    await fleet.until(waiting);
  });

  test("[DSD-31] a host, a relay and a program join a running fleet, and nobody else is configured anew or restarted", async () => {
    const fleet = await smallFleet();
    await fleet.until(fleet.client("caller").add("metadata", "MDS.3", { host: "HOST3", port: 9 }));
    const before = new Map(fleet.members.map(({ name, life, options }) => [name, { life, options }]));
    fleet.addRelay("relay-c");
    await fleet.start();
    fleet.addAgent("HOST4", { parents: ["relay-c"] });
    await fleet.start();
    fleet.addClient("newcomer", { agent: "HOST4" });
    await fleet.start();
    assert.equal(fleet.client("newcomer").get("metadata", "MDS.3")?.valid, true);
    assert.equal(fleet.client("HOST4").node.parent?.name, "relay-c");
    const revision = await fleet
      .until(fleet.client("newcomer").serve("metadata", "MDS.4", { port: 4 }))
      .then(() => fleet.client("newcomer").position);
    const { detached } = await fleet.until(fleet.client("caller").settled(revision));
    assert.equal(detached, 0);
    for (const { handle } of fleet.members) assert.equal(handle.find("metadata", "MDS.4")?.host, "HOST4");
    for (const [name, { life, options }] of before) {
      assert.equal(fleet.member(name).life, life, `${name} was not restarted`);
      assert.equal(fleet.member(name).options, options);
    }
  });

  test("[DSD-10] every agent and every program holds a replica: with the directory and all relays gone, lookups go on and say how old they are", async () => {
    const fleet = await smallFleet();
    await fleet.until(fleet.client("web").serve("metadata", "MDS.1", { port: 1872, maxPeriodMs: 60_000 }));
    await fleet.runFor(20);
    for (const name of ["directory", "relay-a", "relay-b"]) fleet.member(name).crash("silent");
    await fleet.runFor(1000);
    for (const name of ["HOST1", "HOST2", "HOST3", "web", "caller"]) {
      const handle = fleet.client(name);
      assert.equal(handle.find("metadata", "MDS.1")?.port, 1872, `${name} answers`);
      assert.ok(handle.detached && handle.ageMs > 900, `${name} says that its answer is ${handle.ageMs} ms old`);
    }
  });

  test("equal seeds give equal runs, other seeds others", async () => {
    const trace = async (seed: number) => {
      const fleet = await smallFleet(seed);
      await fleet.until(fleet.client("caller").add("metadata", "MDS.7", { host: "HOST3", port: 1 }));
      return fleet.world.trace;
    };
    assert.equal(await trace(4), await trace(4));
    assert.notEqual(await trace(4), await trace(5));
  });

  test("a member that is paused stands still and goes on; a name that nobody has is an error that names those there are", async () => {
    const fleet = await smallFleet();
    fleet.member("caller").pause();
    const revision = await fleet.until(fleet.client("web").add("metadata", "MDS.5", { host: "HOST1", port: 1 }));
    await fleet.runFor(50);
    assert.ok(fleet.client("caller").position.sequence < revision.sequence);
    fleet.member("caller").resume();
    await fleet.runFor(50);
    assert.ok(fleet.client("caller").position.sequence >= revision.sequence);
    assert.throws(() => fleet.client("nobody"), /no member "nobody"/);
    assert.throws(() => fleet.addRelay("relay-a"), /has a member "relay-a" already/);
  });
});
