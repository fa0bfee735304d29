import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "lmdb";
import { partitionOf } from "../../examples/filestore/placement.ts";
import { BundledFleet, metadataInstances, muster, until } from "./bundled-fleet.ts";

const fleetMsMax = 150_000;

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function pathOf(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}

async function put(url: string, name: string, bytes: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/${pathOf(name)}`, { method: "PUT", body: bytes, headers });
}

async function get(url: string, name: string, headers: Record<string, string> = {}): Promise<{ response: Response; bytes: Buffer }> {
  const response = await fetch(`${url}/${pathOf(name)}`, { headers });
  return { response, bytes: Buffer.from(await response.arrayBuffer()) };
}

async function listNames(url: string, prefix: string, limit: number): Promise<string[]> {
  const names: string[] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page = await fetch(`${url}/?${new URLSearchParams({ prefix, after, limit: String(limit) })}`);
    const body: { files: { name: string }[]; next?: string } = JSON.parse(await page.text());
    names.push(...body.files.map(({ name }) => name));
    after = body.next;
  }
  return names;
}

const stored = new Map<string, Buffer<ArrayBuffer>>();
let dataFolder = "";

/** What a fleet had stored when each metadata instance had one server with an LMDB of its own. */
async function writeFormerMetadata(): Promise<string[]> {
  const names: string[] = [];
  for (const [index, instance] of metadataInstances.entries()) {
    const root = open({ path: join(dataFolder, instance), keyEncoding: "binary", encoding: "json", maxDbs: 4, noSubdir: false });
    const files = root.openDB({ name: "files", keyEncoding: "binary", encoding: "json" });
    for (let number = 0; number < 400; number++) {
      const name = `former/${number}`;
      const partition = partitionOf("metadata", name);
      if (Math.floor(partition / 2) !== index) continue;
      const object = sha256Of(Buffer.from(name)).slice(0, 32);
      const times = { createdUnixMs: 1, modifiedUnixMs: 1 };
      const record = { name, object, size: number, sha256: "0".repeat(64), type: "text/x-former", copies: ["BSS.1", "BSS.2"], ...times };
      await files.put(Buffer.concat([Buffer.of(partition), Buffer.from(name)]), { ...record, version: number + 1 });
      names.push(name);
    }
    await root.openDB({ name: "counters", encoding: "json" }).put("version", 1000);
    await root.close();
  }
  return names;
}

before(async () => {
  dataFolder = await mkdtemp(join(tmpdir(), "muster-fleet-"));
  for (const [index, size] of [0, 1, 1000, 262_144, 3_000_000, 20_000_000].entries())
    stored.set(`test/${index}/a file é`, Buffer.from(randomBytes(size)));
});

after(() => rm(dataFolder, { recursive: true, force: true }));

async function readEverything(url: string): Promise<void> {
  for (const [name, bytes] of stored) {
    const got = await get(url, name);
    assert.equal(got.response.status, 200, name);
    assert.equal(sha256Of(got.bytes), sha256Of(bytes), name);
  }
}

test("[DSD-9] the bundled fleet keeps its files through killed servers, a stop and a new start", {
  timeout: fleetMsMax,
}, async (context) => {
  {
    const former = await writeFormerMetadata();
    await using fleet = await BundledFleet.start(dataFolder);
    // A test that is timed out never comes to the end of its block.
    context.after(() => fleet.stop("SIGKILL"));
    const [first = "", second = "", third = ""] = fleet.urls;
    assert.deepEqual((await listNames(second, "former/", 1000)).toSorted(), former.toSorted());
    assert.equal((await fetch(`${second}/former/7`, { method: "HEAD" })).headers.get("content-length"), "7");
    context.diagnostic(`serves after ${Math.round(fleet.tookMs)} ms`);
    assert.ok(fleet.tookMs < 60_000);
    assert.match(fleet.output, /http:\/\/127[\d.]+:\d+\/files/);
    assert.match(fleet.output, /export MUSTER_AGENT=/);

    for (const [name, bytes] of stored) assert.equal((await put(first, name, bytes, { "content-type": "text/x-test" })).status, 201, name);
    await readEverything(second);
    const name = `long/${"é".repeat(509)}x`;
    assert.equal((await put(first, name, Buffer.from("the longest name"))).status, 201);
    assert.equal((await get(third, name)).bytes.toString(), "the longest name");
    assert.equal((await put(first, `${name}x`, Buffer.from(""))).status, 400);
    assert.deepEqual(await listNames(third, "long/éé", 2), [name]);
    assert.deepEqual(await listNames(third, "test/", 2), Array.from(stored.keys()));
    const part = await get(second, "test/4/a file é", { range: "bytes=1000000-1000009" });
    assert.equal(part.response.status, 206);
    assert.deepEqual(part.bytes, stored.get("test/4/a file é")?.subarray(1_000_000, 1_000_010));
    assert.equal(part.response.headers.get("content-type"), "text/x-test");
    assert.equal((await get(second, "test/2/a file é", { "if-none-match": part.response.headers.get("etag") ?? "" })).response.status, 200);
    assert.equal((await get(second, "test/4/a file é", { "if-none-match": part.response.headers.get("etag") ?? "" })).response.status, 304);

    // A hung server keeps its connections open: only the roll tells that it is gone.
    const hung = fleet.member("BSS.2").pid;
    assert.ok(hung);
    process.kill(hung, "SIGSTOP");
    await readEverything(second);
    assert.equal((await put(first, "test/while one hangs", randomBytes(1_000_000))).status, 201);
    process.kill(hung, "SIGCONT");
    const known = async () => (await muster(["find", "bitfile", "BSS.2", "--json"], fleet.map.agent)).code === 0;
    await until("the hung server is back", 10_000, known);

    const found = await muster(["find", "bitfile", "BSS.1", "--json"], fleet.agentOf("HOST9"));
    assert.equal(found.code, 0, found.stderr);
    assert.equal(JSON.parse(found.stdout).host, "HOST8");
    await fleet.kill("BSS.1");
    await fleet.kill("GW.1");
    await fleet.kill("MDS.2.1");
    await until(
      "the other agent says no",
      5000,
      async () => (await muster(["find", "bitfile", "BSS.1", "--json"], fleet.agentOf("HOST9"))).code === 1,
    );
    await readEverything(second);
    stored.set("test/while one is dead", Buffer.from(randomBytes(5_000_000)));
    for (const [name, bytes] of stored) assert.equal((await put(third, name, bytes)).status, 201, name);
    await until("the dead ones are told", 3000, () => /BSS\.1 .*ended by SIGKILL/.test(fleet.output));

    assert.equal(await fleet.stop("SIGINT"), 0, fleet.output);
    assert.deepEqual(fleet.leftovers(), []);
  }
  const again = await BundledFleet.start(dataFolder);
  context.after(() => again.stop("SIGKILL"));
  for (const url of again.urls) await readEverything(url);
  assert.equal((await fetch(`${again.urls[0]}/${pathOf("test/1/a file é")}`, { method: "DELETE" })).status, 204);
  assert.equal((await get(again.urls[1] ?? "", "test/1/a file é")).response.status, 404);
  stored.delete("test/1/a file é");

  const refused = spawn(process.execPath, [join(import.meta.dirname, "../../bin/muster.js"), "up"], {
    env: { ...process.env, MUSTER_DATA: dataFolder },
  });
  assert.equal(await new Promise((resolve) => refused.once("close", resolve)), 1, "a second fleet on the same folder is refused");

  await again.stop("SIGKILL");
  await until("the processes of a killed `muster up` end", 15_000, () => again.leftovers().length === 0);
  await using third = await BundledFleet.start(dataFolder);
  context.after(() => third.stop("SIGKILL"));
  await readEverything(third.urls[2] ?? "");
});

test("files that were acknowledged read back identical while servers are killed and restarted", { timeout: 120_000 }, async (context) => {
  const storm = spawn(
    process.execPath,
    [join(import.meta.dirname, "filestore-storm.ts"), "--seconds", "20", "--files", "60", "--size-max", "16MiB"],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  context.after(() => storm.kill("SIGTERM"));
  let output = "";
  for (const stream of [storm.stdout, storm.stderr]) stream.on("data", (bytes: Buffer) => (output += bytes.toString()));
  const code = await new Promise((resolve) => storm.once("close", resolve));
  assert.equal(code, 0, output);
  for (const line of output.trim().split("\n")) context.diagnostic(line);
});
