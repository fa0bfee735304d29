import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { FleetHandle } from "../../src/fleet/index.ts";
import { type MusterError, SystemClock, SystemRandom, silentTelemetry } from "../../src/kernel/index.ts";
import { SystemProcessProbe } from "../../src/main/process-probe.ts";
import { type NodeOptions, type NodePorts, RollNode, presets } from "../../src/roll/index.ts";
import { MemoryStore } from "../../src/storage/index.ts";
import { TcpTransport, formatAddress, parseAddress } from "../../src/transport/index.ts";

const library = path.join(import.meta.dirname, "../../src/index.ts");
const program = path.join(import.meta.dirname, "request-server.mjs");

/** The roll and the caller in this process, servers in processes of their own, all over real sockets. */
describe("requests to servers in other processes", () => {
  const handles: FleetHandle[] = [];
  const servers: ChildProcess[] = [];
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

  async function serve(key: string, workMs: number): Promise<ChildProcess> {
    const child = fork(program, [library, agent, key, String(workMs)]);
    servers.push(child);
    await once(child, "message");
    return child;
  }

  /** One request each `everyMs` while `act` runs and for a while after it; how each ended. */
  async function under(key: string, type: string, everyMs: number, act: () => Promise<void>): Promise<(MusterError | undefined)[]> {
    const asked: Promise<MusterError | undefined>[] = [];
    let goesOn = true;
    const asking = (async () => {
      for (; goesOn; await delay(everyMs))
        asked.push(
          caller.request(key, type, asked.length, { deadlineMs: 2000 }).then(
            () => undefined,
            (error: MusterError) => error,
          ),
        );
    })();
    await delay(500);
    await act();
    await delay(1000);
    goesOn = false;
    await asking;
    return Promise.all(asked);
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
  });

  after(async () => {
    for (const server of servers) server.kill("SIGKILL");
    for (const handle of handles.toReversed()) await handle.close();
  });

  test("[DSD-20] a server is killed with signal 9 under 200 reads a second: not one fails", async () => {
    const first = await serve("MDS.1.1", 20);
    await serve("MDS.1.2", 20);
    const endings = await under("MDS.1", "look", 5, async () => {
      first.kill("SIGKILL");
      await once(first, "exit");
    });
    assert.deepEqual(
      endings.filter((error) => error !== undefined).map(({ code, message }) => `${code}: ${message}`),
      [],
    );
    assert.ok(endings.length > 150, `${endings.length} requests`);
  });

  test("a server that is told to end answers the writes that are under way and turns others away: not one fails", async () => {
    const first = await serve("BSS.1.1", 20);
    await serve("BSS.1.2", 20);
    const endings = await under("BSS.1", "act", 5, async () => {
      first.kill("SIGTERM");
      const [code] = await once(first, "exit");
      assert.equal(code, 0);
    });
    assert.deepEqual(
      endings.filter((error) => error !== undefined).map(({ code, message }) => `${code}: ${message}`),
      [],
    );
  });

  test("a server that is stopped (SIGSTOP) before a connection stands is passed over by writes, too", async () => {
    const first = await serve("GW.1.1", 1);
    await serve("GW.1.2", 1);
    assert.ok(first.pid !== undefined);
    process.kill(first.pid, "SIGSTOP");
    try {
      const answer = await caller.request("GW.1", "act", "x", { deadlineMs: 2000 });
      assert.deepEqual(answer, { by: "GW.1.2", body: "x" });
    } finally {
      process.kill(first.pid, "SIGCONT");
    }
  });
});
