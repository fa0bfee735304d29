import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FleetHandle } from "../fleet/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { runCli } from "./index.ts";
import { MemoryWorld } from "./memory-world.ts";

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly world: MemoryWorld;
}

async function run(world: MemoryWorld, ...argv: readonly string[]): Promise<Run> {
  const code = await runCli(argv, world);
  return { code, out: world.stdout.text, err: world.stderr.text, world };
}

describe("the command line and a fleet", () => {
  let fleet: FleetHandle;
  const muster = (...argv: readonly string[]) => run(new MemoryWorld(fleet), ...argv);

  before(async () => {
    fleet = await memoryDirectory({ host: "HOST1", routes: ["10.0.0.1"] });
    await fleet.add("host-route", "HOST9.0", "16.7.13.1");
  });

  after(() => fleet.close());

  test("add, find and delete: a complete route, then exit 1", async () => {
    const added = await muster("add", "metadata", "MDS.1.1", "HOST9:1872");
    assert.equal(added.code, 0);
    assert.match(added.out, /^added metadata\/MDS\.1\.1 at \d+\.\d+\n$/);
    const found = await muster("find", "metadata", "MDS.1", "--json");
    assert.equal(found.code, 0);
    const route = JSON.parse(found.out);
    assert.equal(`${route.address}:${route.port} ${route.instance} ${route.host}`, "16.7.13.1:1872 MDS.1.1 HOST9");
    assert.match((await muster("find", "metadata", "MDS.1")).out, /^16\.7\.13\.1:1872\n/);
    const deleted = await muster("--json", "delete", "metadata", "MDS.1.1");
    assert.equal(deleted.code, 0);
    assert.equal(JSON.parse(deleted.out).key, "MDS.1.1");
    const gone = await muster("find", "metadata", "MDS.1");
    assert.deepEqual([gone.code, gone.out], [1, ""]);
    assert.match(gone.err, /no server answers for MDS\.1 in metadata\nnext: {2}muster why MDS\.1/);
    assert.deepEqual((await muster("find", "metadata", "MDS.1", "--json")).out, "null\n");
  });

  test("VALUE is a route, a route with JSON, JSON, or a text; broken JSON is a usage error", async () => {
    await muster("table", "add", "notes");
    const valueOf = async (...words: readonly string[]) => {
      const { code } = await muster("add", "notes", "N", ...words);
      return code === 0 ? fleet.get("notes", "N")?.value : code;
    };
    assert.deepEqual(await valueOf("HOST9:1872"), { host: "HOST9", port: 1872 });
    assert.deepEqual(await valueOf('HOST9:1872 {"zone":"a"}'), { host: "HOST9", port: 1872, data: { zone: "a" } });
    assert.deepEqual(await valueOf("HOST9:1872", '{"zone":"a"}'), { host: "HOST9", port: 1872, data: { zone: "a" } });
    assert.deepEqual(await valueOf('{"a":[1,true]}'), { a: [1, true] });
    assert.deepEqual(await valueOf("17"), 17);
    assert.deepEqual(await valueOf("MDS.1"), "MDS.1");
    assert.equal(await valueOf('{"a":'), 2);
    assert.equal(await valueOf("HOST9:99999"), 2);
  });

  test("partitions, services and conditions on attributes", async () => {
    await muster("add", "metadata", "MDS.2.1", 'HOST1:1 {"zone":"a"}');
    await muster("add", "metadata", "MDS.2.2", 'HOST9:2 {"zone":"b"}');
    await muster("add", "metadata-partition", "1", "MDS.2");
    const partition = await muster("find", "--partition", "metadata-partition", "4", "--json");
    assert.equal(JSON.parse(partition.out).instance, "MDS.2.1");
    const all = await muster("find", "metadata", "MDS.2", "--all", "--json");
    assert.deepEqual(
      JSON.parse(all.out).map((route: { port: number }) => route.port),
      [1, 2],
    );
    assert.match((await muster("find", "metadata", "MDS.2", "--all")).out, /ADDRESS +SERVER +HOST/);
    const where = await muster("find", "metadata", "MDS.2", "--where", "zone=b", "--json");
    assert.equal(JSON.parse(where.out).port, 2);
    assert.equal((await muster("find", "metadata", "MDS.2", "--all", "--where", "zone=c")).code, 1);
    assert.equal((await muster("find", "metadata", "MDS.2", "--where", "zone")).code, 2);
    assert.equal((await muster("find", "--all", "--partition", "metadata-partition", "4")).code, 2);
  });

  test("search prints what the contract says, and a table for people", async () => {
    const { out } = await muster("search", "metadata", "MDS.2.1", "--json");
    const [entry, ...others] = JSON.parse(out);
    assert.equal(others.length, 0);
    const { revision, ...rest } = entry;
    assert.match(revision, /^\d+\.\d+$/);
    assert.deepEqual(rest, {
      table: "metadata",
      key: "MDS.2.1",
      value: { host: "HOST1", port: 1, data: { zone: "a" } },
      valid: true,
      owner: null,
    });
    const table = await muster("search", "metadata", "MDS.2");
    assert.deepEqual(
      table.out.split("\n").map((line) => line.split(/ {2,}/)[0]),
      ["KEY", "MDS.2", "MDS.2.1", "MDS.2.2", ""],
    );
    const empty = await muster("search", "metadata", "NOBODY", "--json");
    assert.deepEqual([empty.code, empty.out], [0, "[]\n"]);
    assert.equal((await muster("search", "nowhere")).code, 1);
  });

  test("--where selects by criteria over values; several must all hold", async () => {
    await muster("table", "add", "apps", "--index", "zone");
    await fleet.add("apps", "A.1", { zone: "a", version: 2, can: ["read", "write"] });
    await fleet.add("apps", "A.2", { zone: "b", version: 3, can: ["read"] });
    const keys = async (...where: readonly string[]) => {
      const { out } = await muster("search", "apps", "--json", ...where.flatMap((pair) => ["--where", pair]));
      return JSON.parse(out).map((entry: { key: string }) => entry.key);
    };
    assert.deepEqual(await keys("zone=a"), ["A.1"]);
    assert.deepEqual(await keys("can=read"), ["A.1", "A.2"]);
    assert.deepEqual(await keys("can=read", "version=3"), ["A.2"]);
    assert.deepEqual(await keys("can=read,version=2"), ["A.1"]);
  });

  test("tables, hosts, routes, status, doctor and why answer people and scripts", async () => {
    for (const argv of [["tables"], ["hosts"], ["routes"], ["status"], ["why", "MDS.2"]]) {
      const person = await muster(...argv);
      assert.equal(person.code, 0, person.err);
      assert.ok(person.out.length > 0);
      const script = await muster(...argv, "--json");
      assert.equal(script.code, 0);
      assert.doesNotThrow(() => JSON.parse(script.out));
    }
    assert.match((await muster("hosts")).out, /HOST9 +there +\d+ +16\.7\.13\.1/);
    assert.equal((await muster("hosts", "HOST7")).code, 1);
    assert.match((await muster("routes")).out, /HOST9\.0 +16\.7\.13\.1 +valid +current/);
    assert.match((await muster("why", "MDS.2")).out, /MDS\.2\.1 is its primary/);
    assert.equal((await muster("why", "NOBODY")).code, 1);
    const sick = await muster("doctor");
    assert.equal(sick.code, 1);
    assert.match(sick.out, /metadata-partition maps keys by modulus:3, but has no row for 0, 2/);
    await muster("delete", "metadata-partition", "1");
    assert.equal((await muster("doctor")).code, 0);
  });

  test("an entry with a check is added invalid together with the row that its host's agent runs; delete takes both", async () => {
    const { code } = await muster("add", "DSD_MTID_GATEWAY", "GW.1", "HOST1:80", "--check", "http:/health", "--every", "2s");
    assert.equal(code, 0);
    assert.equal(fleet.get("gateway", "GW.1")?.valid, false);
    const check = fleet.get("checks", "gateway/GW.1");
    assert.deepEqual(check?.value, { table: "gateway", key: "GW.1", check: "http:/health", everyMs: 2000, host: "HOST1" });
    assert.deepEqual(check?.revision, fleet.get("gateway", "GW.1")?.revision);
    assert.equal((await muster("delete", "gateway", "GW.1")).code, 0);
    assert.equal(fleet.get("checks", "gateway/GW.1"), undefined);
    assert.equal((await muster("add", "gateway", "GW.1", "HOST1:80", "--check", "tcp://nowhere")).code, 2);
  });

  test("tables are added and removed by name", async () => {
    assert.equal((await muster("table", "add", "cache", "--symbol", "DSD_MTID_CACHE")).code, 0);
    assert.equal(fleet.tables().find(({ symbol }) => symbol === "DSD_MTID_CACHE")?.name, "cache");
    assert.equal((await muster("table", "add", "cache", "--mapping", "nonsense")).code, 1);
    assert.equal((await muster("table", "remove", "cache")).code, 0);
    const builtIn = await muster("table", "remove", "metadata");
    assert.equal(builtIn.code, 1);
    assert.match(builtIn.err, /error: .*\nnext:/);
  });

  test("refusals name the cause and the next step, and come as JSON to scripts", async () => {
    const unknown = await muster("add", "nowhere", "K", "1");
    assert.equal(unknown.code, 1);
    assert.match(unknown.err, /error: there is no table "nowhere" \(roll\/unknown-table\)\nnext: {2}.*muster table add nowhere/);
    const json = await muster("add", "metadata", "MDS.3.1", "HOST77:1", "--json");
    assert.equal(json.code, 1);
    const error = JSON.parse(json.err);
    assert.deepEqual([error.code, error.effect, typeof error.next], ["roll/unknown-host", "none", "string"]);
    assert.equal((await muster("add", "metadata", "a\u0007b", "HOST1:1")).code, 1);
    assert.equal((await muster("add", "metadata", "K".repeat(513), "HOST1:1")).code, 1);
  });

  test("a change that no directory answers ends with exit 3, and says that it may still take effect", async () => {
    const silent = Object.assign(Object.create(fleet), { change: () => new Promise(() => {}), add: () => new Promise(() => {}) });
    const world = new MemoryWorld(silent);
    const adding = run(world, "add", "notes", "L", "1", "--timeout", "3s");
    while (world.clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    world.clock.advance(3000);
    const { code, err } = await adding;
    assert.equal(code, 3);
    assert.match(err, /did not answer within 3s[\s\S]*may have taken effect[\s\S]*next: {2}see `muster status`/);
  });

  test("watch prints one event a line, as it happens, until it is stopped", async () => {
    const world = new MemoryWorld(fleet);
    const watching = run(world, "watch", "metadata", "--prefix", "W.", "--json");
    while (!world.listens || world.connects.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    await fleet.add("metadata", "W.1.1", { host: "HOST1", port: 5 });
    await world.stdout.shows('"key":"W.1.1"');
    await fleet.delete("metadata", "W.1.1");
    await world.stdout.shows("Delete");
    world.signal("SIGINT");
    const { code, out } = await watching;
    assert.equal(code, 0);
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const shown = events.filter((event) => event.entry.key === "W.1.1").map((event) => [event.event, event.table, event.entry.valid]);
    assert.deepEqual(shown, [
      ["Add", "metadata", true],
      ["Delete", "metadata", true],
    ]);
    assert.equal((await muster("watch", "nowhere")).code, 1);
  });
});

describe("the command line itself", () => {
  const alone = (...argv: readonly string[]) => run(new MemoryWorld(), ...argv);

  test("exit 3 when nobody is reached; only default sockets that are there are tried", async () => {
    const { code, err, world } = await alone("find", "metadata", "MDS.1");
    assert.equal(code, 3);
    assert.match(err, /no agent answers at \.\/\.muster\/agent\.sock/);
    assert.match(err, /next: {2}start one/);
    assert.deepEqual(world.connects, [{ agents: ["./.muster/agent.sock"], tables: [], timeoutMs: 5000 }]);
    const nowhere = new MemoryWorld();
    nowhere.files.clear();
    const absent = await run(nowhere, "find", "metadata", "MDS.1");
    assert.equal(absent.code, 3);
    assert.match(absent.err, /there is neither \.\/\.muster\/agent\.sock nor \.\/\.muster\/directory\.sock/);
    assert.deepEqual(nowhere.connects, []);
  });

  test("exit 2 for what is no command line, with a suggestion", async () => {
    for (const argv of [
      ["fnd", "a", "b"],
      ["find", "a"],
      ["find", "a", "b", "c"],
      ["find", "a", "b", "--al"],
      ["agent"],
      ["serve", "a", "b"],
      [],
    ]) {
      const { code, err } = await alone(...argv);
      assert.equal(code, 2, argv.join(" "));
      assert.ok(err.length > 0);
    }
    assert.match((await alone("serach", "metadata")).err, /Did you mean search/);
    assert.match((await alone("agent", "--parent", "127.0.0.1:7550", "--route", "10.0.0.1")).err, /--host is missing/);
    const named = ["agent", "--parent", "127.0.0.1:7550", "--host", "A", "--route", "10.0.0.1"];
    assert.match((await alone(...named, "--attribute", "routes=2")).err, /--attribute routes/);
    assert.match((await alone("agent", "--parent", "nonsense", "--host", "A", "--route", "10.0.0.1")).err, /is not an address/);
  });

  test("help explains every verb with an example, and exits 0", async () => {
    const { code, out } = await alone("--help");
    assert.equal(code, 0);
    const verbs = [...out.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1] ?? "");
    const listed = out.slice(out.indexOf("Commands:"), out.indexOf("Exit codes:"));
    const names = [...listed.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1] ?? "").filter((name) => name !== "help");
    assert.deepEqual(
      names,
      "up directory relay agent serve find search add delete drain promote move watch table tables groups types hosts routes status doctor why snapshot".split(
        " ",
      ),
    );
    assert.ok(verbs.length >= names.length);
    for (const name of names) {
      const help = await alone(name, "--help");
      assert.equal(help.code, 0);
      if (!["table", "snapshot"].includes(name)) assert.match(help.out, /Examples:\n {2}muster/, name);
    }
    assert.equal((await alone("--version")).out, "1.2.3\n");
  });

  test("--agent, then MUSTER_AGENT, then the configuration file, say whom to ask", async () => {
    const agentsOf = async (env: Record<string, string>, ...argv: readonly string[]) => {
      const world = new MemoryWorld();
      world.env = env;
      world.files.set("c.yaml", "agent: file.sock\n");
      await runCli([...argv, "tables"], world);
      return world.connects[0]?.agents;
    };
    assert.deepEqual(await agentsOf({ MUSTER_AGENT: "env.sock" }, "--agent", "10.0.0.1:7550"), ["10.0.0.1:7550"]);
    assert.deepEqual(await agentsOf({ MUSTER_AGENT: "env.sock" }, "--config", "c.yaml"), ["env.sock"]);
    assert.deepEqual(await agentsOf({}, "--config", "c.yaml"), ["file.sock"]);
  });

  test("a configuration file takes every option in kebab and camel case, and per verb", async () => {
    const world = new MemoryWorld();
    world.files.set(
      "muster.yaml",
      [
        "host: HOST1",
        "route: [10.0.0.1, 10.1.0.1]",
        "attribute: { zone: a }",
        "logFormat: json",
        "agent:",
        "  parent: 10.0.0.9:7550",
        "  allow-command-checks: true",
        "directory:",
        "  store: memory",
      ].join("\n"),
    );
    const running = run(world, "agent", "--config", "muster.yaml", "--host", "HOST2");
    await world.stdout.shows("running");
    world.signal("SIGTERM");
    const { code } = await running;
    assert.equal(code, 0);
    assert.deepEqual(world.runs[0], {
      plaintext: false,
      preset: "lan",
      logFormat: "json",
      logLevel: "info",
      allowCommandChecks: true,
      hooks: {},
      parents: ["10.0.0.9:7550"],
      host: "HOST2",
      routes: ["10.0.0.1", "10.1.0.1"],
      attributes: { zone: "a" },
    });
  });

  test("an unknown name in a configuration file is refused with the one that was meant", async () => {
    const refused = async (text: string) => {
      const world = new MemoryWorld();
      world.files.set("c.yaml", text);
      const { code, err } = await run(world, "directory", "--config", "c.yaml");
      return [code, err];
    };
    const [code, err] = await refused("lisen: 127.0.0.1:1");
    assert.equal(code, 2);
    assert.match(String(err), /"lisen" in c\.yaml is not an option[\s\S]*did you mean "listen"\?/);
    assert.match(String((await refused("directory:\n  stoer: memory"))[1]), /did you mean "store"\?/);
    assert.match(String((await refused("[1, 2]"))[1]), /not a mapping of options/);
    assert.match(String((await refused("a: [1"))[1]), /the configuration file c\.yaml cannot be used/);
    assert.equal((await run(new MemoryWorld(), "tables", "--config", "none.yaml")).code, 1);
  });

  test("a directory is described by its options and defaults; a second signal does not wait", async () => {
    const world = new MemoryWorld();
    world.env = { MUSTER_DATA: "/data" };
    world.runDirectory = (run) => {
      world.runs.push(run);
      world.stdout.write("running\n");
      return new Promise(() => {});
    };
    const running = run(world, "directory", "--listen=127.0.0.1:0", "--mapping=metadata-partition=modulus:6", "--hook=page=/bin/page me");
    await world.stdout.shows("running");
    world.signal("SIGINT");
    world.signal("SIGINT");
    assert.equal((await running).code, 1);
    assert.deepEqual(world.runs[0], {
      listen: "127.0.0.1:0",
      data: "/data",
      plaintext: false,
      preset: "lan",
      logFormat: "human",
      logLevel: "info",
      allowCommandChecks: false,
      hooks: { page: "/bin/page me" },
      store: "lmdb",
      peers: [],
      routes: [],
      attributes: {},
      mappings: { "metadata-partition": "modulus:6" },
    });
  });

  test("snapshot save and restore pass on what they are told, and say what they hold", async () => {
    const world = new MemoryWorld();
    const saved = await run(world, "snapshot", "save", "f.snapshot", "--detached", "--timeout", "90s");
    assert.equal(saved.code, 0);
    assert.equal(saved.out, "saved f.snapshot: 17 entries of fleet f1 as of 3.42\n");
    assert.deepEqual(world.saves, [{ agents: ["./.muster/agent.sock"], file: "f.snapshot", timeoutMs: 90_000, detached: true }]);
    world.env = { MUSTER_DATA: "/data" };
    const restored = await run(world, "snapshot", "restore", "f.snapshot", "--replace", "--epoch-above", "1000004", "--json");
    assert.equal(restored.code, 0);
    assert.deepEqual(world.restores, [{ file: "f.snapshot", data: "/data", replace: true, epochAbove: 1_000_004 }]);
    const none = await run(new MemoryWorld(), "snapshot", "restore", "none.snapshot");
    assert.equal(none.code, 1);
    assert.equal((await run(new MemoryWorld(), "snapshot", "restore", "f", "--epoch-above", "x")).code, 2);
    const nobody = new MemoryWorld();
    nobody.files.clear();
    assert.equal((await run(nobody, "snapshot", "save", "f.snapshot")).code, 3);
  });

  test("colour is for terminals only, and never with NO_COLOR", async () => {
    const shown = async (isTerminal: boolean, env: Record<string, string>) => {
      const world = new MemoryWorld();
      world.stderr.isTerminal = isTerminal;
      world.env = env;
      return (await run(world, "tables")).err.includes("\u001b[");
    };
    assert.equal(await shown(true, {}), true);
    assert.equal(await shown(false, {}), false);
    assert.equal(await shown(true, { NO_COLOR: "1" }), false);
  });
});
