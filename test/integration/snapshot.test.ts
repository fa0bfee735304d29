import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { musterProcesses } from "../muster-processes.ts";

/** `muster snapshot` with real processes: saved under way, the directory killed and restored, its fleet comes back to it. */

const muster = path.join(import.meta.dirname, "../../bin/muster.js");
const quiet = ["--http", "off", "--preset", "test"];

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

describe("a fleet whose directory is restored from a snapshot", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "muster-snapshot-"));
  const fleet = musterProcesses(muster, folder);
  let directories = musterProcesses(muster, folder);
  let address = "";

  const run = (...args: readonly string[]): Promise<Ran> =>
    new Promise((resolve) => {
      const options = { cwd: folder, env: { ...process.env, MUSTER_AGENT: path.join(folder, "agent1.sock") } };
      execFile(process.execPath, [muster, ...args], options, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      );
    });
  const ok = async (...args: readonly string[]): Promise<string> => {
    const { code, out, err } = await run(...args);
    assert.equal(code, 0, `muster ${args.join(" ")}: ${err}`);
    return out;
  };
  const startDirectory = async (data: string, listen: string) => {
    directories = musterProcesses(muster, folder);
    return directories.start(
      ["directory", "--data", data, "--socket", "directory.sock", "--listen", listen, ...quiet],
      /(127\.0\.0\.1:\d+)/,
    );
  };
  const valid = async (table: string, key: string): Promise<boolean | undefined> => {
    const entries: { key: string; valid: boolean }[] = JSON.parse(await ok("search", table, key, "--json"));
    return entries.find((entry) => entry.key === key)?.valid;
  };
  const eventually = async (what: string, holds: () => Promise<boolean>) => {
    for (let round = 0; round < 60; round++) {
      if (await holds()) return;
      await pause(100);
    }
    assert.fail(`${what} did not come about`);
  };

  before(async () => {
    address = await startDirectory("data", "127.0.0.1:0");
    for (const host of [1, 2])
      await fleet.start(
        ["agent", "--parent", address, "--host", `HOST${host}`, "--route", "127.0.0.1", "--socket", `agent${host}.sock`, ...quiet],
        /ready/,
      );
    await ok("table", "add", "notes");
    await ok("add", "notes", "kept", '"as of the snapshot"');
    process.env["MUSTER_AGENT"] = path.join(folder, "agent2.sock");
    await fleet.start(["serve", "metadata", "MDS.1.1", "--port", "1872", "--", "sleep", "600"], /MDS\.1\.1/);
    await eventually("the server", async () => (await valid("metadata", "MDS.1.1")) === true);
  });

  after(async () => {
    delete process.env["MUSTER_AGENT"];
    await directories.stop();
    await fleet.stop();
    rmSync(folder, { recursive: true });
  });

  test("save writes the file whole, with what was acknowledged before", async () => {
    const revision = /at (\S+)/.exec(await ok("add", "notes", "last", "1"))?.[1] ?? "";
    const saved = JSON.parse(await ok("snapshot", "save", "fleet.snapshot", "--json"));
    assert.ok(Number(saved.revision.split(".")[1]) >= Number(revision.split(".")[1]));
    assert.equal(readFileSync(path.join(folder, "fleet.snapshot")).subarray(0, 16).toString(), "muster-snapshot\n");
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes("saving")),
      [],
    );
  });

  test("restore refuses a directory that runs, one that holds a roll, and a damaged file; nothing is changed", async () => {
    const running = await run("snapshot", "restore", "fleet.snapshot", "--data", "data", "--replace");
    assert.equal(running.code, 1);
    assert.match(running.err, /data is in use by process \d+/);
    writeFileSync(path.join(folder, "cut.snapshot"), readFileSync(path.join(folder, "fleet.snapshot")));
    truncateSync(path.join(folder, "cut.snapshot"), 1000);
    const cut = await run("snapshot", "restore", "cut.snapshot", "--data", "elsewhere");
    assert.match(cut.err, /no sound snapshot: it ends too early/);
    assert.ok(!existsSync(path.join(folder, "elsewhere")));
  });

  test("killed, restored on an empty folder: agents come back, entries are as of the snapshot, live servers are asserted anew", async () => {
    await ok("add", "notes", "kept", '"changed since"');
    await ok("add", "notes", "later", "2");
    process.env["MUSTER_AGENT"] = path.join(folder, "agent1.sock");
    await fleet.start(["serve", "metadata", "MDS.2.1", "--port", "1873", "--", "sleep", "600"], /MDS\.2\.1/);
    await eventually("the later server", async () => (await valid("metadata", "MDS.2.1")) === true);
    await directories.stop();
    const refused = await run("snapshot", "restore", "fleet.snapshot", "--data", "data");
    assert.match(refused.err, /data holds a roll already/);
    await ok("snapshot", "restore", "fleet.snapshot", "--data", "restored");
    await startDirectory("restored", address);
    await eventually("the return of the fleet", async () => {
      const { out } = await run("status", "--json");
      const status = JSON.parse(out === "" ? "{}" : out);
      return status.detached === false && status.epoch >= 1_000_000;
    });
    await eventually(
      "the servers",
      async () => (await valid("metadata", "MDS.1.1")) === true && (await valid("metadata", "MDS.2.1")) === true,
    );
    const notes: { key: string; value: unknown }[] = JSON.parse(await ok("search", "notes", "--json"));
    assert.deepEqual(
      notes.map(({ key, value }) => [key, value]),
      [
        ["kept", "as of the snapshot"],
        ["last", 1],
      ],
    );
    for (const host of ["HOST1", "HOST2"]) assert.equal(await valid("hosts", host), true);
    await ok("add", "notes", "after", "3");
  });

  test("a damaged roll is replaced and kept beside the new one", async () => {
    await directories.stop();
    truncateSync(path.join(folder, "restored", "roll.mdb"), 20_000);
    const damaged = await run("directory", "--data", "restored", "--listen", "127.0.0.1:0", ...quiet);
    assert.match(damaged.err, /muster snapshot restore FILE --data DIR --replace/);
    await ok("snapshot", "restore", "fleet.snapshot", "--data", "restored", "--replace");
    assert.ok(existsSync(path.join(folder, "restored", "replaced-roll.mdb")));
    await startDirectory("restored", address);
    await eventually("the return of the fleet", async () => {
      const { out } = await run("status", "--json");
      const status = JSON.parse(out === "" ? "{}" : out);
      return status.detached === false && status.epoch >= 2_000_000;
    });
  });
});
