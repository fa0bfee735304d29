import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { isRecord } from "../../src/kernel/index.ts";
import { packageProgram, runProgram } from "../../scripts/programs.ts";
import { root } from "../../scripts/repository.ts";
import { musterProcesses } from "../muster-processes.ts";

/** Every path that the manifest promises: exports, commands. */
function promisedPaths(manifest: unknown): string[] {
  const paths: string[] = [];
  const visit = (value: unknown) => {
    if (typeof value === "string") paths.push(value.replace(/^\.\//, ""));
    else if (isRecord(value)) Object.values(value).forEach(visit);
  };
  if (isRecord(manifest)) [manifest["exports"], manifest["bin"]].forEach(visit);
  return paths;
}

async function must(file: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): Promise<string> {
  const { code, stdout, stderr } = await runProgram(file, args, { ...options, timeoutMs: 240_000 });
  assert.equal(code, 0, `${path.basename(file)} ${args.join(" ")}: ${stderr}${stdout}`);
  return stdout;
}

describe("the package as npm ships it, installed in an empty folder", { timeout: 300_000 }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), "muster-package-"));
  const consumer = path.join(folder, "consumer");
  const installed = path.join(consumer, "node_modules/@musterhq/muster");
  const muster = path.join(installed, "bin/muster.js");
  const processes = musterProcesses(muster, consumer);
  let files: readonly string[] = [];

  before(async () => {
    await must(process.execPath, ["scripts/build.ts"], { cwd: root });
    const packed: unknown = JSON.parse(
      await must("npm", ["pack", "--ignore-scripts", "--json", "--loglevel=error", "--pack-destination", folder], { cwd: root }),
    );
    const report: unknown = Array.isArray(packed) ? packed[0] : packed;
    assert.ok(isRecord(report) && Array.isArray(report["files"]) && typeof report["filename"] === "string");
    files = report["files"].map((file: unknown) => (isRecord(file) ? String(file["path"]) : ""));
    cpSync(path.join(root, "test/package/twenty-lines.mjs"), path.join(consumer, "twenty-lines.mjs"));
    cpSync(path.join(root, "test/package/consumer.ts"), path.join(consumer, "consumer.ts"));
    writeFileSync(path.join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
    const tarball = path.join(folder, report["filename"]);
    await must("npm", ["install", tarball, "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: consumer,
    });
  });

  after(async () => {
    await processes.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("it holds built files, every path that its manifest names, and nothing else", () => {
    const manifest: unknown = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8"));
    assert.deepEqual(
      promisedPaths(manifest).filter((file) => !files.includes(file)),
      [],
    );
    for (const needed of ["README.md", "LICENSE", "CHANGELOG.md", "dist/main/muster.js", "dist/main/heartbeat-worker.js"])
      assert.ok(files.includes(needed), `${needed} is missing`);
    assert.deepEqual(
      files.filter(
        (file) => !/^(dist\/|bin\/|README\.md$|LICENSE$|CHANGELOG\.md$|package\.json$)/.test(file) || /\.test\.|(?<!\.d)\.ts$/.test(file),
      ),
      [],
    );
  });

  test("its declarations type-check in a strict program", async () => {
    const types = path.join(consumer, "node_modules/@types");
    symlinkSync(path.join(root, "node_modules/@types"), types);
    symlinkSync(path.join(root, "node_modules/undici-types"), path.join(consumer, "node_modules/undici-types"));
    const compilerOptions = {
      target: "ES2024",
      lib: ["ES2024", "ESNext.Disposable"],
      module: "NodeNext",
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: ["node"],
    };
    writeFileSync(path.join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    await must(process.execPath, [packageProgram("typescript", "tsc"), "-p", "."], { cwd: consumer });
  });

  test("the first twenty lines of a user run with plain Node against an agent that the package's command started", async () => {
    const env = { ...process.env, MUSTER_AGENT: await processes.startFleet() };
    const said: unknown = JSON.parse(await must(process.execPath, ["twenty-lines.mjs"], { cwd: consumer, env }));
    assert.deepEqual(said, {
      route: "127.0.0.1:8080",
      events: [
        ["Add", 7],
        ["Add", 7],
        ["Delete", 7],
      ],
    });
    const tables = await must(process.execPath, [muster, "tables", "--json"], { cwd: consumer, env });
    assert.match(tables, /DSD_MTID_CACHE/);
    // The thread that keeps heartbeats apart from the main loop is found in the package: a busy program stays valid.
    const busy = `
      import { connect } from "@musterhq/muster";
      const fleet = await connect();
      await fleet.serve("metadata", "MDS.1.1", { port: 1872, maxPeriodMs: 300 });
      const { revision } = fleet.get("metadata", "MDS.1.1");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      for (const end = Date.now() + 900; Date.now() < end; );
      await new Promise((resolve) => setTimeout(resolve, 500));
      const { valid, revision: later } = fleet.get("metadata", "MDS.1.1");
      console.log(JSON.stringify({ valid, same: revision.sequence === later.sequence }));
      await fleet.close();
    `;
    assert.deepEqual(JSON.parse(await must(process.execPath, ["--input-type=module", "--eval", busy], { cwd: consumer, env })), {
      valid: true,
      same: true,
    });
  });
});
