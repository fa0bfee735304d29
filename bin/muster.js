#!/usr/bin/env node
// The command `muster`. In a clone it runs the sources, in the package the built files; always in one process, unless the
// Node at hand is too old to run the sources and the pinned one has to be started in its place. Start-up time counts here:
// what only that detour needs is loaded only then.
import { existsSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const sources = new URL("../src/main/muster.ts", import.meta.url);
const isClone = existsSync(sources);
const [major, minor] = process.versions.node.split(".").map(Number);

if (process.env.MUSTER_WRAPPED !== undefined) endWithWrapper();

if (major > 22 || (major === 22 && minor >= 18)) {
  keepCompiledCode();
  await import(isClone ? sources.href : "../dist/main/muster.js");
} else await runUnderPinnedNode();

/**
 * Start-up takes a third of the time when stripped and compiled code is kept between runs. It is kept where only this user
 * writes: what lies in a shared temporary folder could be anybody's.
 */
function keepCompiledCode() {
  const home = process.env.XDG_CACHE_HOME || (process.env.HOME && `${process.env.HOME}/.cache`);
  const folder = isClone ? fileURLToPath(new URL("../.cache/compiled", import.meta.url)) : home && `${home}/muster/compiled`;
  if (!folder) return;
  module.enableCompileCache(folder);
  // Node writes at an orderly exit only, and a node of the fleet may never have one.
  setTimeout(() => module.flushCompileCache(), 3000).unref();
}

/** Our wrapper holds the other end of the IPC channel: when it is gone, however it went, this process ends too. */
function endWithWrapper() {
  delete process.env.MUSTER_WRAPPED;
  if (process.channel === undefined) return;
  process.once("disconnect", () => {
    setTimeout(() => process.kill(process.pid, "SIGKILL"), 10_000).unref();
    process.kill(process.pid, "SIGTERM");
  });
  process.channel.unref();
}

async function runUnderPinnedNode() {
  const pinnedNode = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url));
  if (!existsSync(pinnedNode)) {
    const next = isClone ? "run npm ci in the repository, which installs the pinned Node" : "install Node 22.18 or newer";
    console.error(`Muster needs Node 22.18 or newer; this is ${process.versions.node}.\nNext: ${next}`);
    process.exit(1);
  }
  const { spawn } = await import("node:child_process");
  const child = spawn(pinnedNode, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, MUSTER_WRAPPED: "1" },
  });
  // A terminal sends Ctrl-C to the child itself; a second one would mean "at once" to it.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const name of signals)
    process.on(name, () => {
      if (name !== "SIGINT" || !terminal) child.kill(name);
    });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}
