import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import type { FleetHandle } from "../../src/fleet/index.ts";
import { type MusterError, isRecord } from "../../src/kernel/index.ts";
import type { Address } from "../../src/transport/index.ts";
import { LocalFleet } from "./local-fleet.ts";

/** The roll and the caller in this process; three servers of one instance in processes of their own, with real disks and sockets. */
describe("an ordering group of three processes", () => {
  const fleet = new LocalFleet();
  const servers = new Map<string, ChildProcess>();
  const data = mkdtempSync(path.join(tmpdir(), "muster-groups-"));
  let door: Address;
  let caller: FleetHandle;

  async function serve(key: string): Promise<void> {
    servers.set(key, await fleet.fork("group-server.mjs", door, key, path.join(data, key)));
  }

  function row(): { readonly epoch: number; readonly synchronising: string; readonly members: number } | undefined {
    const value = caller.get("groups", "metadata/MDS.1")?.value;
    if (!isRecord(value) || !Array.isArray(value["members"])) return undefined;
    return { epoch: Number(value["epoch"]), synchronising: String(value["synchronising"]), members: value["members"].length };
  }

  async function until(holds: () => boolean, what: string): Promise<void> {
    for (const endMs = Date.now() + 15_000; !holds(); await delay(5)) assert.ok(Date.now() < endMs, `${what}: ${JSON.stringify(row())}`);
  }

  before(async () => {
    ({ door } = await fleet.startHost("HOST1", "127.0.0.1"));
    caller = await fleet.startProgram("caller", door);
    for (const key of ["MDS.1.1", "MDS.1.2", "MDS.1.3"]) await serve(key);
    await until(() => row()?.members === 3, "three members");
  });

  after(async () => {
    await fleet.close();
    rmSync(data, { recursive: true, force: true });
  });

  test("[MRT-7] the synchronising process is killed with signal 9 under load: every increment that was answered happened once, and none fails", async (context) => {
    const answers: { readonly count: number; readonly atMs: number }[] = [];
    const errors: string[] = [];
    let goesOn = true;
    const writer = async (): Promise<void> => {
      while (goesOn)
        await caller.request("MDS.1", "add", { key: "a", by: 1 }, { deadlineMs: 10_000 }).then(
          (count) => void answers.push({ count: Number(count), atMs: performance.now() }),
          (error: MusterError) => void errors.push(`${error.code}: ${error.message}`),
        );
    };
    const writers = Array.from({ length: 8 }, writer);
    for (let kill = 1; kill <= 2; kill++) {
      await delay(700);
      const primary = row()?.synchronising ?? "";
      const killed = servers.get(primary);
      assert.ok(killed);
      const killedMs = performance.now();
      killed.kill("SIGKILL");
      await until(() => row()?.synchronising !== primary, "a successor");
      await delay(700);
      const times = answers.map(({ atMs }) => atMs).filter((atMs) => atMs > killedMs - 100);
      const gapMs = Math.max(...times.slice(1).map((atMs, at) => atMs - (times[at] ?? atMs)));
      context.diagnostic(`kill ${kill}: no answer for ${Math.round(gapMs)} ms`);
      await serve(primary);
      await until(() => row()?.members === 3, "three members again");
    }
    goesOn = false;
    await Promise.all(writers);
    assert.deepEqual(errors, []);
    const counts = answers.map(({ count }) => count).toSorted((a, b) => a - b);
    assert.deepEqual(
      counts,
      Array.from(counts, (_, at) => at + 1),
    );
    assert.ok(counts.length > 200, `${counts.length} writes`);
    context.diagnostic(`${counts.length} writes`);
    assert.equal(await caller.request("MDS.1", "get", "a", { consistency: "latest" }), counts.length);
    assert.equal(await caller.request("MDS.1", "get", "a"), counts.length);
  });

  test("all processes end in good order and start again: the state is on their disks", async () => {
    const before = await caller.request("MDS.1", "add", { key: "b", by: 5 });
    assert.equal(before, 5);
    for (const [key, server] of servers) {
      server.kill("SIGTERM");
      const [code] = await once(server, "exit");
      assert.equal(code, 0, key);
    }
    const last = row()?.synchronising ?? "";
    assert.equal(row()?.members, 1);
    // Whoever was not the last one has to wait for it.
    for (const key of ["MDS.1.1", "MDS.1.2", "MDS.1.3"].filter((one) => one !== last)) await serve(key);
    await serve(last);
    await until(() => row()?.members === 3, "three members again");
    assert.equal(await caller.request("MDS.1", "add", { key: "b", by: 1 }), 6);
  });
});
