import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { FleetHandle } from "../../src/fleet/index.ts";
import { type MusterError, SystemClock, SystemRandom, isRecord, silentTelemetry } from "../../src/kernel/index.ts";
import { SystemProcessProbe } from "../../src/main/process-probe.ts";
import { type NodeOptions, type NodePorts, RollNode, presets } from "../../src/roll/index.ts";
import { MemoryStore } from "../../src/storage/index.ts";
import { type PartitionRow, ownerOf, parsePartitionRow, partitionRowValue, slotOf, spreadOver, withMoves } from "../../src/tables/index.ts";
import { TcpTransport, formatAddress, parseAddress } from "../../src/transport/index.ts";

const library = path.join(import.meta.dirname, "../../src/index.ts");
const program = path.join(import.meta.dirname, "keyed-server.mjs");
const counters = ["a", "b", "c", "d", "e", "f"] as const;

/** The roll and the caller in this process; two groups of two servers each in processes of their own, with real disks and sockets. */
describe("keys that move between the groups of four processes", () => {
  const handles: FleetHandle[] = [];
  const servers = new Map<string, ChildProcess>();
  const data = mkdtempSync(path.join(tmpdir(), "muster-moves-"));
  let agent = "";
  let caller: FleetHandle;

  async function start(options: NodeOptions, extra: Partial<NodePorts> = {}): Promise<FleetHandle> {
    const ports = {
      clock: new SystemClock(),
      random: new SystemRandom(),
      transport: new TcpTransport(),
      telemetry: silentTelemetry,
      ...extra,
    };
    const handle = new FleetHandle(new RollNode({ ...options, periods: presets.test }, ports), silentTelemetry);
    handles.push(handle);
    await handle.node.start();
    return handle;
  }

  async function serve(key: string): Promise<void> {
    const child = fork(program, [library, agent, key, path.join(data, key)]);
    servers.set(key, child);
    await once(child, "message");
  }

  function row(instance: string): { readonly synchronising: string; readonly members: number } | undefined {
    const value = caller.get("groups", `metadata/${instance}`)?.value;
    if (!isRecord(value) || !Array.isArray(value["members"])) return undefined;
    return { synchronising: String(value["synchronising"]), members: value["members"].length };
  }

  const map = (): PartitionRow => parsePartitionRow(caller.get("partitions", "metadata/MDS")?.value ?? null);

  async function until(holds: () => boolean, what: string): Promise<void> {
    const shown = () => JSON.stringify([caller.get("partitions", "metadata/MDS")?.value ?? null, row("MDS.1"), row("MDS.2")]);
    for (const endMs = Date.now() + 20_000; !holds(); await delay(5)) assert.ok(Date.now() < endMs, `${what}: ${shown()}`);
  }

  /** Asks for it; a map that changes under one's hands is read again. */
  async function ask(slots: readonly number[], to: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const next = withMoves(map(), slots, to);
      if (next === undefined) return;
      const entry = caller.get("partitions", "metadata/MDS");
      const revision = `${entry?.revision.epoch ?? 0}.${entry?.revision.sequence ?? 0}`;
      const operation = { op: "add", table: "partitions", key: "metadata/MDS", value: partitionRowValue(next) } as const;
      try {
        await caller.change([operation], { ifRevision: [{ table: "partitions", key: "metadata/MDS", revision }] });
        return;
      } catch (thrown) {
        if (attempt === 10) throw thrown;
      }
    }
  }

  before(async () => {
    const directory = await start({ role: "directory", name: "directory" }, { store: new MemoryStore() });
    const listener = await directory.node.listen(parseAddress("127.0.0.1:0"));
    const host = await start(
      { role: "agent", name: "HOST1", routes: ["127.0.0.1"], parents: [listener.address] },
      { processes: new SystemProcessProbe() },
    );
    const door = await host.node.listen(parseAddress("127.0.0.1:0"));
    agent = formatAddress(door.address);
    caller = await start({ role: "client", name: "caller", parents: [door.address] });
    await caller.node.ready();
    for (const key of ["MDS.1.1", "MDS.1.2", "MDS.2.1", "MDS.2.2"]) await serve(key);
    await until(() => row("MDS.1")?.members === 2 && row("MDS.2")?.members === 2, "two groups of two");
    await caller.add("partitions", "metadata/MDS", partitionRowValue(spreadOver(["MDS.1", "MDS.2"])));
  });

  after(async () => {
    for (const server of servers.values()) server.kill("SIGKILL");
    for (const handle of handles.toReversed()) await handle.close();
    rmSync(data, { recursive: true, force: true });
  });

  test("[MRT-7] counters move to and fro under load, and synchronising processes are killed with signal 9 meanwhile: every increment happened once, and none fails", async (context) => {
    const answers = new Map<string, number[]>(counters.map((key) => [key, []]));
    const errors: string[] = [];
    let goesOn = true;
    const writer = async (key: string): Promise<void> => {
      while (goesOn)
        await caller.request("MDS", "add", { key, by: 1 }, { deadlineMs: 20_000 }).then(
          (count) => void answers.get(key)?.push(Number(count)),
          (error: MusterError) => void errors.push(`${error.code}: ${error.message}`),
        );
    };
    const writers = counters.flatMap((key) => [writer(key), writer(key)]);
    await delay(300);
    const slots = counters.map(slotOf);
    for (const [round, to] of ["MDS.2", "MDS.1", "MDS.2"].entries()) {
      const from = to === "MDS.1" ? "MDS.2" : "MDS.1";
      // The one that gives them away, the one that gets them, and the one that gives them away once more.
      const victim = row(round === 1 ? to : from)?.synchronising ?? "";
      await ask(slots, to);
      await delay(round * 4);
      const startMs = performance.now();
      servers.get(victim)?.kill("SIGKILL");
      const isThere = () => map().moves.length === 0 && slots.every((slot) => ownerOf(map(), slot)?.instance === to);
      await until(isThere, `all keys at ${to}`);
      context.diagnostic(`${victim} killed: all ${slots.length} slots at ${to} after ${Math.round(performance.now() - startMs)} ms`);
      await serve(victim);
      await until(() => row("MDS.1")?.members === 2 && row("MDS.2")?.members === 2, "everybody back");
    }
    goesOn = false;
    await Promise.all(writers);
    assert.deepEqual(errors, []);
    let sum = 0;
    for (const [key, counts] of answers) {
      counts.sort((a, b) => a - b);
      assert.deepEqual(
        counts,
        Array.from(counts, (_, at) => at + 1),
        key,
      );
      assert.ok(counts.length > 20, `${counts.length} writes of ${key}`);
      sum += counts.length;
      assert.equal(await caller.request("MDS", "get", { key }, { consistency: "latest" }), counts.length);
      assert.equal(await caller.request("MDS", "get", { key }), counts.length);
    }
    context.diagnostic(`${sum} writes`);
  });
});
