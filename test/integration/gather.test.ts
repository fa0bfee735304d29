import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { FleetHandle } from "../../src/fleet/index.ts";
import { SystemClock, SystemRandom, silentTelemetry } from "../../src/kernel/index.ts";
import { SystemProcessProbe } from "../../src/main/process-probe.ts";
import { type NodeOptions, type NodePorts, RollNode, presets } from "../../src/roll/index.ts";
import { MemoryStore } from "../../src/storage/index.ts";
import { TcpTransport, formatAddress, parseAddress } from "../../src/transport/index.ts";

const library = path.join(import.meta.dirname, "../../src/index.ts");
const program = path.join(import.meta.dirname, "request-server.mjs");

/** The roll and the caller in this process, three servers in processes of their own, all over real sockets. */
describe("one question to three processes", () => {
  const handles: FleetHandle[] = [];
  const servers: ChildProcess[] = [];
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

  before(async () => {
    const directory = await start({ role: "directory", name: "directory" }, { store: new MemoryStore() });
    const listener = await directory.node.listen(parseAddress("127.0.0.1:0"));
    const host = await start(
      { role: "agent", name: "HOST1", routes: ["127.0.0.1"], parents: [listener.address] },
      { processes: new SystemProcessProbe() },
    );
    const door = await host.node.listen(parseAddress("127.0.0.1:0"));
    const agent = formatAddress(door.address);
    caller = await start({ role: "client", name: "caller", parents: [door.address] });
    await caller.node.ready();
    for (const [index, workMs] of [20, 60, 1500].entries()) {
      const child = fork(program, [library, agent, `MDS.${index + 1}.1`, String(workMs)]);
      servers.push(child);
      await once(child, "message");
    }
    while (caller.search("metadata", "MDS.").filter(({ key, valid }) => valid && key.split(".").length === 3).length < 3) await delay(20);
  });

  after(async () => {
    for (const server of servers) server.kill("SIGKILL");
    for (const handle of handles.toReversed()) await handle.close();
  });

  const by = (answers: readonly { readonly answer: unknown }[]) => answers.map(({ answer }) => JSON.stringify(answer)).toSorted();
  const answerOf = (number: number, body: string) => JSON.stringify({ by: `MDS.${number}.1`, body });

  test("[MRT-1] [MRT-4] every process answers according to the type, and the caller receives all answers", async () => {
    const all = await caller.gather("MDS", "look", "a.txt");
    assert.deepEqual([by(all.answers), all.complete], [[1, 2, 3].map((number) => answerOf(number, "a.txt")), true]);
    const first = await caller.gather("MDS", "look", "b.txt", { until: "first" });
    assert.deepEqual([first.complete, first.size, first.missing.length], [true, 3, 2]);
  });

  test("[MRT-2] the subset is changed while the processes run: who is outside of it answers nothing more", async () => {
    const revision = await caller.add("request-types", "MDS/look", { effect: "read", subset: ["MDS.1.1", "MDS.2.1"], by: "operator" });
    await caller.settled(revision);
    const two = await caller.gather("MDS", "look", "c.txt");
    assert.deepEqual([by(two.answers), two.complete, two.size], [[1, 2].map((number) => answerOf(number, "c.txt")), true, 2]);
    for (let count = 0; count < 20; count++) {
      const answer = await caller.request("MDS", "look", "d.txt");
      assert.ok([1, 2].some((number) => JSON.stringify(answer) === answerOf(number, "d.txt")));
    }
    await caller.settled(await caller.add("request-types", "MDS/look", { effect: "read" }));
  });

  test("a process that is killed with signal 9 meanwhile is missing at once, with the reason", async () => {
    const startMs = performance.now();
    const gathering = caller.gather("MDS", "look", "e.txt", { deadlineMs: 10_000 });
    await delay(200);
    servers[2]?.kill("SIGKILL");
    const { answers, missing, complete, size } = await gathering;
    assert.deepEqual([by(answers), complete, size], [[1, 2].map((number) => answerOf(number, "e.txt")), false, 3]);
    assert.deepEqual(
      missing.map(({ server, error }) => [server, error.code]),
      [["MDS.3.1", "requests/server-gone"]],
    );
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 1400, `${tookMs} ms`);
  });
});
