import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError, isRecord } from "../kernel/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { SimFleet } from "../testing/index.ts";

const refused = (code: string) => (error: unknown) => error instanceof MusterError && error.code === code;

/** A directory, a relay, two hosts; a server on HOST1, a caller on HOST2. */
async function smallFleet(): Promise<SimFleet> {
  const fleet = new SimFleet({ seed: 7 });
  fleet.addDirectory();
  fleet.addRelay("relay");
  for (const host of ["HOST1", "HOST2"]) fleet.addAgent(host);
  fleet.addClient("server", { agent: "HOST1" });
  fleet.addClient("caller", { agent: "HOST2" });
  await fleet.start();
  return fleet;
}

function statesAt(fleet: SimFleet, key: string): Set<unknown> {
  const states = fleet.members.filter(({ alive }) => alive).map(({ handle }) => handle.get("states", key)?.value);
  return new Set(states.map((value) => (value !== undefined && isRecord(value) ? value["state"] : undefined)));
}

describe("drain", () => {
  test("a server, the members of a service instance, and a host are marked, and back in use with off", async () => {
    const fleet = await memoryDirectory({ host: "HOST1" });
    for (const key of ["MDS.1.1", "MDS.1.2"]) await fleet.add("metadata", key, { host: "HOST1", port: 1872 });
    const entries = async (target: string, options = {}) => (await fleet.drain(target, options)).entries;
    assert.deepEqual(await entries("MDS.1.2"), ["metadata/MDS.1.2"]);
    assert.deepEqual(await entries("MDS.1"), ["metadata/MDS.1.1", "metadata/MDS.1.2"]);
    assert.deepEqual(await entries("HOST1", { reason: "new disks" }), ["hosts/HOST1"]);
    assert.deepEqual(
      fleet.search("states").map(({ key }) => key),
      ["hosts/HOST1", "metadata/MDS.1.1", "metadata/MDS.1.2"],
    );
    assert.match(JSON.stringify(fleet.get("states", "hosts/HOST1")?.value), /"state":"draining","reason":"new disks"/);
    assert.deepEqual(await entries("MDS.1.1", { off: true }), ["metadata/MDS.1.1"]);
    assert.deepEqual(await entries("MDS.1", { off: true }), ["metadata/MDS.1.2"]);
    assert.deepEqual(await entries("MDS.1", { off: true }), []);
    await fleet.drain("HOST1", { off: true });
    assert.deepEqual(fleet.search("states"), []);
    await fleet.close();
  });

  test("a target that nobody has, that is in two tables, or that is no server, is refused", async () => {
    const fleet = await memoryDirectory({ host: "HOST1" });
    await fleet.addTable("cache", { symbol: "DSD_MTID_CACHE" });
    for (const table of ["cache", "gateway"]) await fleet.add(table, "X.1", { host: "HOST1", port: 1 });
    await assert.rejects(fleet.drain("X.9"), refused("fleet/no-such-target"));
    await assert.rejects(fleet.drain("HOST1.0"), refused("fleet/no-such-target"));
    await assert.rejects(fleet.drain("X.1"), refused("fleet/ambiguous-target"));
    assert.deepEqual((await fleet.drain("X.1", { table: "DSD_MTID_CACHE" })).entries, ["cache/X.1"]);
    await fleet.close();
  });

  test("[DSD-20] when drain returns, every attached node has applied it", async () => {
    const fleet = await smallFleet();
    await fleet.until(fleet.client("server").serve("metadata", "MDS.1", { port: 1872 }));
    const drained = await fleet.until(fleet.client("caller").drain("MDS.1"));
    assert.deepEqual(statesAt(fleet, "metadata/MDS.1"), new Set(["draining"]));
    assert.equal(drained.detached, 0);
    await fleet.until(fleet.client("caller").drain("MDS.1", { off: true }));
    assert.deepEqual(statesAt(fleet, "metadata/MDS.1"), new Set([undefined]));
  });

  test("[DSD-20] a program that was killed after it had stood still for long is waited for by nobody and counted by nobody", async () => {
    const fleet = await smallFleet();
    await fleet.until(fleet.client("caller").add("metadata", "MDS.1", { host: "HOST1", port: 1872 }));
    // The agent closes its link; whether it lives is not known for a while.
    fleet.member("server").pause();
    await fleet.runFor(900);
    fleet.member("server").crash();
    await fleet.runFor(300);
    const beganMs = fleet.world.nowMs;
    const drained = await fleet.until(fleet.client("caller").drain("MDS.1"));
    assert.equal(drained.detached, 0);
    assert.ok(fleet.world.nowMs - beganMs < 100, `${fleet.world.nowMs - beganMs} ms`);
  });

  test("a node that does not answer ends the wait with an error that says that the mark is set", async () => {
    const fleet = await smallFleet();
    await fleet.until(fleet.client("server").serve("metadata", "MDS.1", { port: 1872 }));
    fleet.member("HOST2").sim.pause();
    const drained = fleet.client("server").drain("MDS.1", { deadlineMs: 200 });
    await assert.rejects(
      fleet.until(drained),
      (error) => refused("fleet/not-settled")(error) && error instanceof MusterError && error.effect === "done",
    );
  });
});

describe("a program that closes what it serves", () => {
  test("[DSD-20] every node knows that it is draining before its requests are waited for; then entry and mark are gone", async () => {
    const fleet = await smallFleet();
    const seen: unknown[] = [];
    let finish: () => void = () => {};
    const served = await fleet.until(
      fleet.client("server").serve("metadata", "MDS.1", {
        port: 1872,
        drain: () => {
          seen.push(...statesAt(fleet, "metadata/MDS.1"));
          return new Promise<void>((resolve) => {
            finish = resolve;
          });
        },
      }),
    );
    const closing = served.close();
    await fleet.runFor(500);
    assert.deepEqual(seen, ["draining"]);
    assert.equal(fleet.client("caller").get("metadata", "MDS.1")?.valid, true);
    finish();
    await fleet.until(closing);
    assert.equal(served.close(), closing);
    await fleet.runFor(50);
    assert.equal(fleet.client("caller").get("metadata", "MDS.1"), undefined);
    assert.deepEqual(statesAt(fleet, "metadata/MDS.1"), new Set([undefined]));
  });

  test("requests that do not end are given up after drainMs", async () => {
    const fleet = await smallFleet();
    let given: AbortSignal | undefined;
    const drain = (signal: AbortSignal) => {
      given = signal;
      return new Promise<void>(() => {});
    };
    const served = await fleet.until(fleet.client("server").serve("metadata", "MDS.1", { port: 1872, drain, drainMs: 300 }));
    const startMs = fleet.world.nowMs;
    await fleet.until(served.close());
    assert.equal(given?.aborted, true);
    assert.ok(fleet.world.nowMs - startMs < 500);
  });

  test("an operator's mark is known already, so that nobody waits; a new program under the key is not draining", async () => {
    const fleet = await smallFleet();
    const serve = (drain?: () => Promise<void>) =>
      fleet.until(fleet.client("server").serve("metadata", "MDS.1", { port: 1872, ...(drain === undefined ? {} : { drain }) }));
    const served = await serve();
    await fleet.until(fleet.client("caller").drain("MDS.1", { reason: "new disks" }));
    const reasons: string[] = [];
    fleet.client("caller").subscribe({ tables: ["states"] }, ({ entry }) => void reasons.push(JSON.stringify(entry?.value)));
    await fleet.until(served.close());
    await fleet.runFor(50);
    assert.doesNotMatch(reasons.join(), /closing/);
    // One that is killed while it closes leaves a mark, which ends with the next one under its key.
    const hanging = await serve(() => new Promise<void>(() => {}));
    void hanging.close();
    await fleet.runFor(100);
    assert.deepEqual(statesAt(fleet, "metadata/MDS.1"), new Set(["draining"]));
    fleet.member("server").crash();
    await fleet.runFor(500);
    fleet.member("server").restart();
    await fleet.until(fleet.client("server").node.ready());
    await serve();
    await fleet.runFor(100);
    assert.deepEqual(statesAt(fleet, "metadata/MDS.1"), new Set([undefined]));
  });

  test("a handle closes at once when its directory is away or it serves nothing, and within its bounds when a node is silent", async () => {
    const fleet = await smallFleet();
    const timeOf = async (closing: Promise<unknown>) => {
      const startMs = fleet.world.nowMs;
      await fleet.until(closing);
      return fleet.world.nowMs - startMs;
    };
    assert.ok((await timeOf(fleet.client("caller").close())) < 20);
    for (const key of ["A", "B", "C"]) await fleet.until(fleet.client("server").serve("metadata", key, { port: 1872 }));
    fleet.member("HOST2").sim.pause();
    assert.ok((await timeOf(fleet.client("server").close())) < 1500);
    const other = await smallFleet();
    await other.until(other.client("server").serve("metadata", "A", { port: 1872 }));
    other.member("directory").crash();
    await other.runFor(2000);
    assert.equal(other.client("server").detached, true);
    const startMs = other.world.nowMs;
    await other.until(other.client("server").close());
    assert.ok(other.world.nowMs - startMs < 20);
  });
});
