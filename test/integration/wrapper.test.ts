import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, describe, test } from "node:test";
import { root } from "../../scripts/repository.ts";

/** Another Node than the pinned one, as a fresh clone finds it; one too old for TypeScript is what the wrapper is for. */
function otherNode(): string | undefined {
  const candidates = (process.env["PATH"] ?? "").split(path.delimiter).map((folder) => path.join(folder, "node"));
  return candidates.find((file) => existsSync(file) && realpathSync(file) !== realpathSync(process.execPath) && !file.startsWith(root));
}

function runsTypeScript(node: string): boolean {
  return spawnSync(node, ["-p", "process.features.typescript ?? ''"], { encoding: "utf8" }).stdout.trim() !== "";
}

interface Running {
  readonly child: ChildProcess;
  /** Resolves with the match once the process has said it. */
  says(pattern: RegExp): Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

function start(t: TestContext, node: string, args: readonly string[], cwd: string): Running {
  const child = spawn(node, [...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let heard = () => {};
  const hear = (chunk: Buffer) => {
    said += chunk.toString();
    heard();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  // "close" comes only when the wrapped process has let go of the streams too.
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once("close", (code, signal) => resolve({ code, signal })),
  );
  t.after(() => child.kill("SIGKILL"));
  return {
    child,
    ended,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        heard = () => {
          const match = pattern.exec(said);
          if (match !== null) resolve(match[1] ?? match[0]);
        };
        child.once("close", () => reject(new Error(`ended without saying ${pattern}: ${said}`)));
        heard();
      }),
  };
}

const node = otherNode();
const skip = node === undefined ? "there is no Node on the path besides the pinned one" : false;

describe("a Node that is not the pinned one", { skip, timeout: 60_000 }, () => {
  const folder = (t: TestContext) => {
    const made = mkdtempSync(path.join(tmpdir(), "muster-wrapper-"));
    t.after(() => rmSync(made, { recursive: true, force: true }));
    return made;
  };
  const withNode = path.join(root, "scripts/with-node.mjs");
  const program = `
    const times: Record<string, number> = {};
    for (const name of ["SIGTERM", "SIGINT"]) process.on(name, () => { times[name] = (times[name] ?? 0) + 1; console.log(name, times[name]); if (name === "SIGINT") process.exit(7); });
    console.log(process.version, process.argv.slice(2).join(" "));
    setInterval(() => {}, 1000);
  `;

  test("runs a file under the pinned one, passes signals on once and gives its exit code", async (t) => {
    const cwd = folder(t);
    writeFileSync(path.join(cwd, "program.ts"), program);
    const wrapper = start(t, node ?? "", [withNode, path.join(cwd, "program.ts"), "a", "b"], cwd);
    await wrapper.says(new RegExp(`^${process.version} a b`));
    wrapper.child.kill("SIGTERM");
    await wrapper.says(/SIGTERM 1/);
    const ended = wrapper.ended;
    // Signals in quick succession count as one; this one comes later than that.
    const again = setInterval(() => wrapper.child.kill("SIGINT"), 350);
    t.after(() => clearInterval(again));
    assert.deepEqual(await ended, { code: 7, signal: null });
  });

  test("ends the way its program ended", async (t) => {
    const cwd = folder(t);
    writeFileSync(path.join(cwd, "program.ts"), 'process.kill(process.pid, "SIGKILL");');
    const wrapper = start(t, node ?? "", [withNode, path.join(cwd, "program.ts")], cwd);
    assert.deepEqual(await wrapper.ended, { code: null, signal: "SIGKILL" });
  });

  test("runs the command muster, which ends when its wrapper is killed", {
    skip: node !== undefined && runsTypeScript(node) ? "that Node needs no wrapper" : false,
  }, async (t) => {
    const cwd = folder(t);
    const args = [
      "directory",
      "--store",
      "memory",
      "--data",
      "data",
      "--listen",
      "127.0.0.1:0",
      "--http",
      "off",
      "--socket",
      "directory.sock",
    ];
    const wrapper = start(t, node ?? "", [path.join(root, "bin/muster.js"), ...args], cwd);
    await wrapper.says(/127\.0\.0\.1:\d+/);
    wrapper.child.kill("SIGKILL");
    await wrapper.ended;
  });
});
