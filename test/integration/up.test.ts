import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { until } from "./bundled-fleet.ts";

const musterFile = join(import.meta.dirname, "../../bin/muster.js");

interface Up {
  readonly dataFolder: string;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
  signal(name: "SIGTERM" | "SIGINT" | "SIGHUP"): void;
}

/** `muster up` on a FLEET.yaml of its own, in a folder of its own. */
async function up(context: TestContext, fleetFile: string): Promise<Up> {
  const dataFolder = await mkdtemp(join(tmpdir(), "muster-up-"));
  const filePath = join(dataFolder, "FLEET.yaml");
  await writeFile(filePath, fleetFile);
  const child = spawn(process.execPath, [musterFile, "up", filePath], { env: { ...process.env, MUSTER_DATA: join(dataFolder, "data") } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (output += bytes.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  context.after(async () => {
    child.kill("SIGKILL");
    await ended;
    await until("everything has ended", 15_000, () => running(dataFolder).length === 0);
    await rm(dataFolder, { recursive: true, force: true });
  });
  return { dataFolder, output: () => output, ended, signal: (name) => child.kill(name) };
}

/** Command lines of the processes that have to do with the folder. */
function running(folder: string): string[] {
  const { stdout } = spawnSync("ps", ["-eo", "args"], { encoding: "utf8" });
  return stdout.split("\n").filter((line) => line.includes(folder) && !line.startsWith("ps "));
}

const twoHosts = `
directory: { host: A, port: 0 }
hosts:
  A: [127.1.101.1]
  B: [127.1.102.1]
servers:
  - table: bitfile
    command: [node, -e, "CODE", "{data}"]
    on: { S.1: B }
`;

test("a server that cannot start ends the whole fleet, and its last words are shown", { timeout: 60_000 }, async (context) => {
  const fleet = await up(context, twoHosts.replace("CODE", "console.error('no disk here'); process.exit(7)"));
  assert.equal(await fleet.ended, 1);
  assert.match(fleet.output(), /S\.1 ended with exit code 7 while it started/);
  assert.match(fleet.output(), /no disk here/);
  assert.deepEqual(running(fleet.dataFolder), []);
  assert.deepEqual((await readdir(join(fleet.dataFolder, "data"))).includes("fleet.json"), false);
});

for (const name of ["SIGTERM", "SIGHUP"] as const)
  test(`${name} in the middle of the start ends what was started`, { timeout: 60_000 }, async (context) => {
    const fleet = await up(context, twoHosts.replace("CODE", "setInterval(() => {}, 1000)"));
    await until("the server runs and is not on the roll", 30_000, () =>
      running(fleet.dataFolder).some((line) => line.includes("setInterval")),
    );
    const map: { processes: unknown[] } = JSON.parse(await readFile(join(fleet.dataFolder, "data/fleet.json"), "utf8"));
    assert.equal(map.processes.length, 3);
    fleet.signal(name);
    await fleet.ended;
    assert.deepEqual(running(fleet.dataFolder), []);
  });

test("a program of any language gets on the roll through muster serve, and a port that is taken is replaced", {
  timeout: 60_000,
}, async (context) => {
  const listen = "require('net').createServer().listen(+process.argv[1], '127.1.102.1')";
  const fleet = await up(
    context,
    `
directory: { host: A, port: 0 }
hosts:
  A: [127.1.101.1]
  B: [127.1.102.1]
servers:
  - table: bitfile
    port: 7999
    command: [muster, serve, bitfile, "{key}", --port, "{port}", --, node, -e, "${listen}", "{port}"]
    url: http://{address}:{port}/files
    on: { S.1: B, S.2: B }
`,
  );
  await until("the fleet serves", 40_000, () => /serves after/.test(fleet.output()));
  assert.match(fleet.output(), /http:\/\/127\.1\.102\.1:7999\/files/);
  assert.match(fleet.output(), /port 7999 is taken on B: S\.2 uses \d+/);
  fleet.signal("SIGINT");
  assert.equal(await fleet.ended, 0);
  assert.match(fleet.output(), /all processes have ended/);
  assert.deepEqual(running(fleet.dataFolder), []);
});

test("a wrong FLEET.yaml is refused with its line before anything starts", async (context) => {
  const fleet = await up(context, twoHosts.replace("S.1: B", "S.1: C"));
  assert.equal(await fleet.ended, 1);
  assert.match(fleet.output(), /FLEET\.yaml:9: servers\[0\]\.on\.S\.1 names C, which is not among the hosts/);
  assert.doesNotMatch(fleet.output(), /processes/);
});
