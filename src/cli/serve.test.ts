import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { type JsonValue, isRecord } from "../kernel/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { runCli } from "./index.ts";
import { type MemoryCommand, MemoryWorld } from "./memory-world.ts";

describe("serve", () => {
  let fleet: FleetHandle;
  let world: MemoryWorld;

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1", routes: ["10.0.0.1"] });
    world = new MemoryWorld(fleet);
  });

  afterEach(() => fleet.close());

  const serve = (...argv: readonly string[]) => runCli(["serve", "metadata", "MDS.1.1", "--port", "1872", ...argv], world);
  const validity = () => fleet.get("metadata", "MDS.1.1")?.valid;

  /** Resolves when the entry is as wanted; the event comes with the very change. */
  function state(): readonly JsonValue[] {
    const value = fleet.get("states", "metadata/MDS.1.1")?.value;
    return isRecord(value) ? [value.state ?? null, value.reason ?? null] : [];
  }

  function entryIs(valid: boolean | undefined): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (validity() !== valid) return;
        subscription.cancel();
        resolve();
      };
      const subscription = fleet.subscribe({ tables: ["metadata"] }, look);
      look();
    });
  }

  function started(): MemoryCommand {
    const [command] = world.started;
    assert.ok(command !== undefined);
    return command;
  }

  test("the entry is claimed before COMMAND starts, valid while it runs, invalid when it dies; its code is passed on", async () => {
    world.starting = () => assert.equal(validity(), false);
    const serving = serve("--data", '{"zone":"a"}', "--", "./mds", "--json", "-v");
    await entryIs(true);
    assert.deepEqual(started().command, ["./mds", "--json", "-v"]);
    const entry = fleet.get("metadata", "MDS.1.1");
    assert.deepEqual(entry?.value, { host: "HOST1", port: 1872, data: { zone: "a" } });
    assert.notEqual(entry?.owner, null);
    started().end({ code: 7 });
    assert.equal(await serving, 7);
    assert.equal(validity(), false);
    assert.deepEqual(state(), ["dead", "its program ./mds ended with code 7"]);
  });

  test("a program that a signal ends is reported as shells do", async () => {
    const serving = serve("--", "./mds");
    await entryIs(true);
    started().end({ signal: "SIGSEGV" });
    assert.equal(await serving, 139);
  });

  test("[DSD-20] SIGTERM: the entry is draining before the program hears of it, and deleted when the program has ended", async () => {
    const serving = serve("--", "./mds");
    await entryIs(true);
    started().obeys = (signal) => {
      assert.deepEqual([signal, validity()], ["SIGTERM", true]);
      assert.match(JSON.stringify(fleet.get("states", "metadata/MDS.1.1")?.value), /"state":"draining"/);
      started().end({ code: 0 });
      return false;
    };
    world.signal("SIGTERM");
    assert.equal(await serving, 0);
    assert.equal(started().signals[0], "SIGTERM");
    assert.equal(validity(), undefined);
    assert.equal(fleet.get("states", "metadata/MDS.1.1"), undefined);
    assert.equal(world.listens, false);
  });

  test("a program that does not stop is killed after its grace, or at the second signal", async () => {
    for (const hurry of [true, false]) {
      world = new MemoryWorld(fleet);
      const serving = serve("--grace", "5s", "--", "./mds");
      await entryIs(true);
      started().obeys = () => false;
      world.signal("SIGTERM");
      while (started().signals.length === 0) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(started().signals, ["SIGTERM"]);
      if (hurry) world.signal("SIGINT");
      else world.clock.advance(5000);
      assert.equal(await serving, 137);
      assert.equal(started().signals.at(-1), "SIGKILL");
      assert.equal(validity(), undefined);
    }
  });

  test("with a check the entry is valid only while the program answers", async () => {
    world.checkResults = [
      { healthy: false, reason: "refused" },
      { healthy: true, reason: "connected" },
      { healthy: false, reason: "refused" },
      { healthy: false, reason: "refused" },
      { healthy: true, reason: "connected" },
    ];
    const serving = serve("--check", "tcp", "--every", "1s", "--", "./mds");
    const looks = async (count: number) => {
      while (world.checked.length < count) {
        world.clock.advance(100);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await looks(1);
    assert.equal(validity(), false);
    assert.deepEqual(world.checked[0], { kind: "tcp", host: "10.0.0.1", port: 1872 });
    await looks(2);
    await entryIs(true);
    await looks(3);
    assert.equal(validity(), true, "one failure is not a verdict");
    await looks(4);
    await entryIs(false);
    assert.match(state().join(": "), /^hung: its check .* failed: /);
    await looks(5);
    await entryIs(true);
    assert.deepEqual(state(), []);
    started().end({ code: 0 });
    assert.equal(await serving, 0);
    assert.equal(validity(), false);
  });

  test("without a COMMAND it watches a process by its number, and leaves it alone when stopped", async () => {
    world.alive.add(99);
    const serving = serve("--pid", "99");
    await entryIs(true);
    world.alive.delete(99);
    world.clock.advance(200);
    assert.equal(await serving, 1);
    assert.equal(validity(), false);
    assert.equal(await serve("--pid", "100"), 1);
    assert.match(world.stderr.text, /there is no process 100/);
  });

  test("without a COMMAND and with a check it serves a program that runs already, until it is stopped", async () => {
    const serving = serve("--check", "http:/health");
    await entryIs(true);
    assert.deepEqual(world.checked[0], { kind: "http", url: "http://10.0.0.1:1872/health" });
    world.signal("SIGINT");
    assert.equal(await serving, 0);
    assert.equal(validity(), undefined);
  });

  test("a key that a live program holds is refused before COMMAND starts", async () => {
    await fleet.add("metadata", "MDS.1", { host: "HOST1", port: 1 });
    assert.equal(await serve("--", "./mds"), 1);
    assert.equal(world.started.length, 0);
    assert.match(world.stderr.text, /"MDS\.1" is itself a server[\s\S]*next:/);
  });

  test("a COMMAND that cannot be started leaves no entry", async () => {
    assert.equal(await serve("--", "missing"), 1);
    assert.equal(validity(), undefined);
  });

  test("a stop signal is obeyed also while the directory does not answer", async () => {
    const silent = Object.assign(Object.create(fleet), { serve: () => new Promise(() => {}) });
    world = new MemoryWorld(silent);
    const serving = serve("--host", "HOST1", "--", "./mds");
    await new Promise((resolve) => setImmediate(resolve));
    world.signal("SIGTERM");
    assert.equal(await serving, 143);
    assert.equal(world.started.length, 0);
  });

  test("a program whose entry is refused later is killed", async () => {
    const refusing = Object.assign(Object.create(fleet), {
      serve: async () => ({ update: () => Promise.reject(new Error("refused")), close: async () => {} }),
    });
    world = new MemoryWorld(refusing);
    assert.equal(await serve("--host", "HOST1", "--", "./mds"), 1);
    assert.deepEqual(started().signals, ["SIGKILL"]);
  });

  test("what makes no sense is a usage error", async () => {
    assert.equal(await serve(), 2);
    assert.equal(await serve("--pid", "1", "--", "./mds"), 2);
    assert.equal(await serve("--data", "{", "--", "./mds"), 2);
    assert.equal(await serve("--every", "5", "--check", "tcp"), 2);
    assert.equal(await runCli(["serve", "metadata", "MDS.1.1", "--port", "70000", "--", "./mds"], world), 2);
    assert.equal(await runCli(["serve", "metadata", "MDS.1.1", "--", "./mds"], world), 2);
  });
});
