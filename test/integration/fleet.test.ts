import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect } from "../../src/index.ts";

const muster = join(import.meta.dirname, "../../bin/muster.js");
const limitMs = 15_000;

/** A running `muster`, and what it has said so far. */
class Running {
  readonly child: ChildProcess;
  said = "";
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[], folder: string) {
    this.child = spawn(process.execPath, [muster, ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    const note = (chunk: Buffer) => {
      this.said += chunk.toString();
    };
    this.child.stdout?.on("data", note);
    this.child.stderr?.on("data", note);
    this.ended = once(this.child, "exit").then(([code]: (number | null)[]) => code ?? null);
  }

  /** Resolves with the first match in what it says, now or later. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const started = performance.now();
    for (;;) {
      const match = pattern.exec(this.said);
      if (match !== null) return match;
      if (performance.now() - started > limitMs || this.child.exitCode !== null)
        throw new Error(`${this.child.spawnargs.slice(2).join(" ")} never said ${String(pattern)}: ${this.said}`);
      await Promise.race([once(this.child.stdout ?? this.child, "data"), this.ended, passed(250)]);
    }
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.ended;
  }
}

/** A bound on a wait for somebody else's process; nothing is concluded from the time itself. */
function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

describe("a fleet of real processes", () => {
  let folder = "";
  let parent = "";
  let directory: Running;
  const running: Running[] = [];
  const start = (...args: string[]) => {
    const one = new Running(args, folder);
    running.push(one);
    return one;
  };
  const agentArgs = (host: string, address: string, socket: string, at = parent) => [
    ...["agent", "--parent", at, "--host", host, "--route", address, "--socket", join(folder, socket), "--http", "off", "--preset", "test"],
  ];
  const run = async (socket: string, ...args: string[]) => {
    const one = new Running([...args, "--agent", join(folder, socket)], folder);
    running.push(one);
    return { code: await one.ended, said: one.said };
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-fleet-"));
    directory = start("directory", "--data", join(folder, "data"), "--listen", "127.0.0.1:0", "--http", "off", "--preset", "test");
    parent = (await directory.says(/links on (\S+)/))[1] ?? "";
    await directory.says(/ready/);
    await start(...agentArgs("HOST9", "127.0.0.9", "nine.sock")).says(/ready/);
    await start(...agentArgs("HOST11", "127.0.0.11", "eleven.sock")).says(/ready/);
  });

  after(async () => {
    await Promise.all(running.map((one) => one.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  test("[DSD-10] [DSD-22] kill -9 of a server: the other agent's find says no and its watch has the event", async () => {
    const server = start(
      "serve",
      "metadata",
      "MDS.1",
      "--port",
      "1872",
      "--agent",
      join(folder, "nine.sock"),
      "--",
      process.execPath,
      "-e",
      "setInterval(() => {}, 1000)",
    );
    await server.says(/on the roll/);
    const found = await run("eleven.sock", "find", "metadata", "MDS.1", "--json");
    assert.equal(found.code, 0);
    const { ageMs, revision, ...route } = JSON.parse(found.said);
    assert.deepEqual(route, { key: "MDS.1", instance: "MDS.1", host: "HOST9", address: "127.0.0.9", port: 1872, alternates: [] });
    assert.match(revision, /^\d+\.\d+$/);
    assert.equal(typeof ageMs, "number");
    // A program on the other host follows with a replica of its own: it measures from the signal to its event.
    const fleet = await connect({ agent: join(folder, "eleven.sock") });
    try {
      const event = new Promise<number>((resolve) =>
        fleet.subscribe({ tables: ["metadata"], prefix: "MDS.1" }, ({ entry }) => {
          if (entry?.valid === false) resolve(performance.now());
        }),
      );
      const watch = start("watch", "metadata", "--json", "--agent", join(folder, "eleven.sock"));
      // The watch has begun when it tells of a change.
      for (let probe = 0; !watch.said.includes("PROBE"); probe++)
        await run("nine.sock", "add", "metadata", "PROBE", `HOST9:${1000 + probe}`);
      const killed = performance.now();
      server.child.kill("SIGKILL");
      const knownMs = (await event) - killed;
      assert.ok(knownMs < 1000, `known after ${knownMs} ms`);
      assert.match((await watch.says(/.*"valid":false.*/))[0], /"event":"Add".*"key":"MDS.1"/);
      assert.equal(fleet.find("metadata", "MDS.1"), undefined);
    } finally {
      await fleet.close();
    }
    assert.equal((await run("eleven.sock", "find", "metadata", "MDS.1")).code, 1);
  });

  test("[DSD-11] a change from any process is read back by it and by every agent", async () => {
    assert.equal((await run("nine.sock", "add", "gateway", "GW.1", "HOST9:8080", '{"zone":"a"}')).code, 0);
    const there = await run("eleven.sock", "search", "gateway", "GW.", "--json");
    assert.deepEqual(
      JSON.parse(there.said).map(({ key, value, valid }: Record<string, unknown>) => ({ key, value, valid })),
      [{ key: "GW.1", value: { host: "HOST9", port: 8080, data: { zone: "a" } }, valid: true }],
    );
    assert.equal((await run("eleven.sock", "delete", "gateway", "GW.1")).code, 0);
    assert.equal((await run("nine.sock", "find", "gateway", "GW.1")).code, 1);
  });

  test("[DSD-30] [DSD-31] a relay and a host behind it join, and everybody knows them without being told to", async () => {
    const relay = start("relay", "--parent", parent, "--listen", "127.0.0.1:0", "--http", "off", "--preset", "test");
    const relayed = (await relay.says(/links on (\S+)/))[1] ?? "";
    await start(...agentArgs("HOST13", "127.0.0.13", "thirteen.sock", relayed)).says(/ready/);
    const server = start(
      "serve",
      "bitfile",
      "BSS.13",
      "--port",
      "7200",
      "--agent",
      join(folder, "thirteen.sock"),
      "--",
      process.execPath,
      "-e",
      "setInterval(() => {}, 1000)",
    );
    await server.says(/on the roll/);
    const found = await run("eleven.sock", "find", "bitfile", "BSS.13");
    assert.match(found.said, /127\.0\.0\.13:7200/);
    // The relay dies: its agent's programs are found all the same, within the grace and from what everybody holds.
    await relay.stop();
    assert.match((await run("eleven.sock", "find", "bitfile", "BSS.13")).said, /127\.0\.0\.13:7200/);
    assert.match((await run("thirteen.sock", "find", "bitfile", "BSS.13")).said, /127\.0\.0\.13:7200/);
  });

  test("two agents with one host name: the second is refused and says why, the first stays", async () => {
    const second = start(...agentArgs("HOST9", "127.0.0.99", "second.sock"), "--log-level", "warn");
    assert.match((await second.says(/not-admitted.*/))[0], /host-name-taken/);
    await second.stop();
    const hosts = await run("eleven.sock", "hosts", "--json");
    assert.match(hosts.said, /127\.0\.0\.9"/);
    assert.doesNotMatch(hosts.said, /127\.0\.0\.99/);
  });

  test("a port in use and a data directory in use are refused with the cause and the next step", async () => {
    const port = start(
      "directory",
      "--store",
      "memory",
      "--data",
      join(folder, "other"),
      "--listen",
      parent,
      "--http",
      "off",
      "--socket",
      join(folder, "x.sock"),
    );
    assert.equal(await port.ended, 1);
    assert.match(port.said, /in use/);
    const busy = start(
      "directory",
      "--data",
      join(folder, "data"),
      "--listen",
      "127.0.0.1:0",
      "--http",
      "off",
      "--socket",
      join(folder, "y.sock"),
    );
    assert.equal(await busy.ended, 1);
    assert.match(busy.said, /data/);
    assert.match(busy.said, /next:/i);
  });

  test("an agent that follows a directory of another fleet is refused by itself and keeps what it has", async () => {
    const other = start(
      "directory",
      "--store",
      "memory",
      "--data",
      join(folder, "o"),
      "--listen",
      "127.0.0.1:0",
      "--http",
      "off",
      "--preset",
      "test",
      "--socket",
      join(folder, "o.sock"),
    );
    const otherParent = (await other.says(/links on (\S+)/))[1] ?? "";
    await other.says(/ready/);
    // It begins in the first fleet; then only a directory of another fleet answers at its parent's address.
    const agent = start(...agentArgs("HOST12", "127.0.0.12", "twelve.sock", otherParent), "--log-level", "debug");
    await agent.says(/ready/);
    await run("twelve.sock", "add", "host-route", "HOST77.0", "127.0.0.77");
    await other.stop();
    const impostor = start(
      "directory",
      "--store",
      "memory",
      "--data",
      join(folder, "p"),
      "--listen",
      otherParent,
      "--http",
      "off",
      "--preset",
      "test",
      "--socket",
      join(folder, "p.sock"),
    );
    await impostor.says(/ready/);
    // An empty directory adopts the fleet that it meets; it never empties it.
    const kept = await run("twelve.sock", "search", "host-route", "HOST77", "--json");
    assert.match(kept.said, /127\.0\.0\.77/);
    await impostor.stop();
    await agent.stop();
  });

  test("SIGTERM under load: what was acknowledged is there after the start, and everybody follows again", async () => {
    const fleet = await connect({ agent: join(folder, "nine.sock") });
    const acknowledged: string[] = [];
    let stopped = false;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let count = 0; !stopped; count++) {
        const key = `load.${writer}.${count}`;
        await fleet.add("checks", key, count).then(
          () => acknowledged.push(key),
          () => undefined,
        );
      }
    });
    while (acknowledged.length < 200) await passed(5);
    await directory.stop("SIGTERM");
    directory = start("directory", "--data", join(folder, "data"), "--listen", parent, "--http", "off", "--preset", "test");
    await directory.says(/ready/);
    const before = acknowledged.length;
    while (acknowledged.length < before + 200) await passed(5);
    stopped = true;
    await Promise.all(writers);
    await fleet.settled(fleet.position);
    const keys = new Set(fleet.search("checks", "load.").map(({ key }) => key));
    assert.deepEqual(
      acknowledged.filter((key) => !keys.has(key)),
      [],
    );
    await fleet.close();
  });

  test("without an agent the command line says so and exits with 3", async () => {
    const { code, said } = await run("nobody.sock", "find", "metadata", "MDS.1", "--timeout", "300ms");
    assert.equal(code, 3);
    assert.match(said, /next/i);
  });
});
