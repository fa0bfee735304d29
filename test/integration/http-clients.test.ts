import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, after, before, describe, test } from "node:test";
import { root } from "../../scripts/repository.ts";
import { type Fleet, MusterError, connect, fleetFetch } from "../../src/index.ts";
import { musterProcesses } from "../muster-processes.ts";

const muster = path.join(root, "bin/muster.js");

/** Answers after 20 ms with what it was told; a body is read to its end first. */
const program = `
  const { createServer } = require("node:http");
  createServer((request, response) => {
    request.resume().on("end", () => setTimeout(() => response.end(process.env.MUSTER_KEY), 20));
  }).listen(Number(process.env.MUSTER_PORT), "127.0.0.1", () => console.log("listening " + process.pid));`;

/** Serves with the library itself, so that a stop of the process is a missed heartbeat. */
const servingProgram = (agent: string, key: string) => `
  import { createServer } from "node:http";
  import { connect } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)};
  const server = createServer((request, response) => setTimeout(() => response.end("answer"), 20)).listen(0, "127.0.0.1", async () => {
    const fleet = await connect({ agent: ${JSON.stringify(agent)} });
    await fleet.serve("gateway", ${JSON.stringify(key)}, { port: server.address().port, maxPeriodMs: 300 });
    console.log("serving");
  });`;

const askingProgram = (agent: string, url: string) => `
  import { connect, fleetFetch } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)};
  const ask = fleetFetch(await connect({ agent: ${JSON.stringify(agent)} }));
  const askOn = async () => {
    for (;;) await ask(${JSON.stringify(url)}).then((answer) => answer.text(), (error) => console.log("failed", error));
  };
  for (let number = 0; number < 20; number++) askOn();
  console.log("asking");`;

async function passed(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** A server in this process: what reaches it is counted at the socket, not at the client. */
async function countingServer(t: TestContext): Promise<{ readonly server: Server; readonly port: number; readonly count: () => number }> {
  let count = 0;
  const server = createServer((request, response) => {
    count++;
    // A new connection for each request takes the longest way.
    response.setHeader("connection", "close");
    request.resume().on("end", () => setTimeout(() => response.end("answer"), 5));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { server, port: portOf(server.address()), count: () => count };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server.address());
  server.close();
  await once(server, "close");
  return port;
}

function portOf(address: AddressInfo | string | null): number {
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

/** Requests at a steady rate until stopped; how each ended. */
function load(
  perSecond: number,
  ask: () => Promise<string>,
): () => Promise<{ readonly answers: number; readonly failures: string[]; readonly gapMs: number }> {
  const open = new Set<Promise<void>>();
  const failures: string[] = [];
  let answers = 0;
  let gapMs = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const one = ask().then(
      () => {
        answers++;
        gapMs = Math.max(gapMs, performance.now() - last);
        last = performance.now();
      },
      (error: unknown) => void failures.push(String(error)),
    );
    open.add(one);
    one.finally(() => open.delete(one)).catch(() => undefined);
  }, 1000 / perSecond);
  return async () => {
    clearInterval(timer);
    await Promise.all(open);
    return { answers, failures, gapMs };
  };
}

describe("HTTP clients of a fleet of real processes", () => {
  let folder = "";
  let agent = "";
  let fleet: Fleet;
  let processes: ReturnType<typeof musterProcesses>;
  const children: ChildProcess[] = [];

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "muster-http-"));
    processes = musterProcesses(muster, folder);
    agent = await processes.startFleet();
    fleet = await connect({ agent });
  });

  after(async () => {
    await fleet.close();
    for (const child of children) child.kill("SIGKILL");
    await processes.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A program on the roll under `muster serve`; resolves with its process id. */
  const serve = async (key: string) =>
    Number(
      await processes.start(
        ["serve", "gateway", key, "--port", String(await freePort()), "--agent", agent, "--", process.execPath, "-e", program],
        /listening (\d+)/,
      ),
    );

  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [muster, ...args, "--agent", agent], { stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [code] = await once(child, "exit");
    return { code, said };
  };

  /** A program of its own that asks as fast as it can, twenty at a time. */
  const caller = (url: string) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", askingProgram(agent, url)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const says = async (pattern: RegExp) => {
      while (!pattern.test(text)) await once(child.stdout, "data");
    };
    return { child, said: () => text, says };
  };

  test("[DSD-19] kill -9 of one of two servers under 200 reads a second: not one fails", async () => {
    const [pid] = [await serve("KILL.1"), await serve("KILL.2")];
    const ask = fleetFetch(fleet);
    for (const key of ["KILL.1", "KILL.2"]) while (fleet.find("gateway", key) === undefined) await passed(5);
    const stop = load(200, async () => (await ask("muster://gateway/KILL/")).text());
    await passed(700);
    process.kill(pid, "SIGKILL");
    await passed(1000);
    const { answers, failures, gapMs } = await stop();
    assert.deepEqual(failures, []);
    assert.ok(answers > 60, `${answers} answers`);
    assert.ok(gapMs < 500, `nothing was answered for ${gapMs} ms`);
    ask.close();
  });

  test("[DSD-19] a server that hangs under 100 reads a second: what waits for it is answered by the other, not one fails", async () => {
    const servers = ["HANG.1", "HANG.2"].map((key) => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", servingProgram(agent, key)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      return child;
    });
    for (const { stdout } of servers) await once(stdout, "data");
    for (const key of ["HANG.1", "HANG.2"]) while (fleet.find("gateway", key) === undefined) await passed(5);
    const ask = fleetFetch(fleet, { deadlineMs: 5000 });
    const stop = load(100, async () => (await ask("muster://gateway/HANG/")).text());
    await passed(300);
    servers[0]?.kill("SIGSTOP");
    while (fleet.find("gateway", "HANG.1") !== undefined) await passed(20);
    await passed(300);
    const { answers, failures } = await stop();
    assert.deepEqual(failures, []);
    assert.ok(answers > 30, `${answers} answers`);
    ask.close();
    // A node that stands still counts in every barrier until it is given up.
    for (const server of servers) {
      server.kill("SIGKILL");
      await once(server, "exit");
    }
  });

  test("[DSD-19] a POST that was under way when its server died is unknown, and reaches nobody else", async (t) => {
    const pid = await serve("POST.1");
    const other = await countingServer(t);
    await fleet.add("gateway", "POST.2", { host: "HOST1", port: other.port });
    while (fleet.find("gateway", "POST.1") === undefined) await passed(5);
    const ask = fleetFetch(fleet);
    const posted = Array.from({ length: 20 }, () => ask("muster://gateway/POST.1/", { method: "POST", body: "once" }));
    const ends = Promise.allSettled(posted);
    await passed(10);
    process.kill(pid, "SIGKILL");
    for (const end of await ends)
      if (end.status === "rejected") {
        assert.ok(end.reason instanceof MusterError, String(end.reason));
        // Those whose connection had not come about are known not to have run.
        assert.ok(end.reason.effect === "maybe" ? end.reason.code === "fetch/unknown" : end.reason.effect === "none", end.reason.message);
      } else await end.value.text();
    assert.equal(other.count(), 0);
    ask.close();
  });

  test("[DSD-20] once drain has returned not one request of any program reaches the server, and none fails", async (t) => {
    const [first, second] = [await countingServer(t), await countingServer(t)];
    await fleet.add("gateway", "DRAIN.1", { host: "HOST1", port: first.port });
    await fleet.add("gateway", "DRAIN.2", { host: "HOST1", port: second.port });
    const callers = [caller("muster://gateway/DRAIN/"), caller("muster://gateway/DRAIN/")];
    await Promise.all(callers.map(({ says }) => says(/asking/)));
    let late = 0;
    let exact = 0;
    for (let round = 0; round < 10; round++) {
      await passed(50);
      const { detached } = await fleet.drain("DRAIN.1", { reason: "new disks" });
      const counted = [first.count(), second.count()];
      await passed(50);
      // The callers go on meanwhile.
      while (second.count() === counted[1]) await passed(5);
      // Drain answers for the nodes that are attached; a machine that stands still for a second loses one.
      if (detached === 0) {
        exact++;
        late += first.count() - (counted[0] ?? 0);
      }
      await fleet.drain("DRAIN.1", { off: true });
    }
    assert.ok(exact >= 5, `all nodes were attached in ${exact} of 10 rounds`);
    assert.equal(late, 0, `${late} requests after drain had returned`);
    const drained = await run("drain", "DRAIN.1", "--json");
    const counted = first.count();
    assert.equal(drained.code, 0, drained.said);
    assert.deepEqual(JSON.parse(drained.said).entries, ["gateway/DRAIN.1"]);
    await passed(200);
    assert.equal(first.count(), counted);
    assert.match((await run("drain", "DRAIN.1", "--off")).said, /in use again/);
    while (first.count() === counted) await passed(10);
    for (const { said } of callers) assert.doesNotMatch(said(), /failed/);
    for (const { child } of callers) child.kill("SIGKILL");
  });

  test("[DSD-20] a server that closes in good order loses no request: drained, its requests finished, then gone", async (t) => {
    const [first, second] = [await countingServer(t), await countingServer(t)];
    const program = await connect({ agent });
    await fleet.add("gateway", "CLOSE.2", { host: "HOST1", port: second.port });
    const served = await program.serve("gateway", "CLOSE.1", {
      port: first.port,
      drain: async () => {
        first.server.close();
        first.server.closeIdleConnections();
        await once(first.server, "close");
      },
    });
    while (fleet.find("gateway", "CLOSE.1") === undefined) await passed(5);
    const ask = fleetFetch(fleet);
    // Writes too: nothing that was begun may be cut.
    const stop = load(200, async () => (await ask("muster://gateway/CLOSE/", { method: "POST", body: "x" })).text());
    await passed(300);
    assert.ok(first.count() > 0);
    await served.close();
    await passed(200);
    assert.deepEqual((await stop()).failures, []);
    assert.equal(fleet.get("gateway", "CLOSE.1"), undefined);
    assert.equal(fleet.get("states", "gateway/CLOSE.1"), undefined);
    await program.close();
    ask.close();
  });
});
