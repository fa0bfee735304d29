import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { runCli } from "./index.ts";
import { MemoryWorld } from "./memory-world.ts";

describe("muster drain", () => {
  let fleet: FleetHandle;
  let world: MemoryWorld;

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1" });
    world = new MemoryWorld(fleet);
    for (const key of ["MDS.1.1", "MDS.1.2"]) await fleet.add("metadata", key, { host: "HOST1", port: 1872 });
  });

  afterEach(() => fleet.close());

  test("marks what the key names, says so, and takes it back with --off", async () => {
    assert.equal(await runCli(["drain", "MDS.1", "--reason", "new disks"], world), 0);
    assert.match(world.stdout.text, /metadata\/MDS\.1\.1.* is draining: no new work reaches it\n.*MDS\.1\.2/);
    assert.match(JSON.stringify(fleet.get("states", "metadata/MDS.1.2")?.value), /"draining".*"new disks"/);
    assert.equal(await runCli(["drain", "MDS.1", "--off"], world), 0);
    assert.deepEqual(fleet.search("states"), []);
    assert.equal(await runCli(["drain", "MDS.1", "--off"], world), 0);
    assert.match(world.stderr.text, /nothing of MDS\.1 was draining/);
  });

  test("--json names the entries and the revision; a host is marked as a whole", async () => {
    assert.equal(await runCli(["drain", "HOST1", "--table", "hosts", "--json"], world), 0);
    const { revision, ...rest } = JSON.parse(world.stdout.text);
    assert.deepEqual(rest, { target: "HOST1", draining: true, entries: ["hosts/HOST1"], detached: 0 });
    assert.match(revision, /^\d+\.\d+$/);
  });

  test("exit codes: 1 for what nobody has, 2 for wrong usage, 3 without an agent", async () => {
    assert.equal(await runCli(["drain", "MDS.9"], world), 1);
    assert.match(world.stderr.text, /MDS\.9[\s\S]*next:.*muster why MDS\.9/);
    assert.equal(await runCli(["drain"], world), 2);
    assert.equal(await runCli(["drain", "MDS.1"], new MemoryWorld()), 3);
  });
});
