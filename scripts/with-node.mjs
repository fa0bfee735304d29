// Runs a file under the Node that this repository pins (the npm package `node`), after installing what is missing:
//   node scripts/with-node.mjs FILE [ARGUMENT …]
// Plain JavaScript without dependencies, because it has to run on an older system Node (20 and up) in a fresh clone.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const pinnedNode = path.join(root, "node_modules/node/bin/node");

function fail(cause, next) {
  console.error(`${cause}\nNext: ${next}`);
  process.exit(1);
}

const readJson = (file) => JSON.parse(readFileSync(path.join(root, file), "utf8"));

/** Installed means: everything the lock asks for on this system is there in the version it names. Times alone mislead after a checkout. */
function isInstalled() {
  const installed = path.join(root, "node_modules/.package-lock.json");
  if (!existsSync(installed)) return false;
  if (statSync(installed).mtimeMs >= statSync(path.join(root, "package-lock.json")).mtimeMs) return true;
  const there = readJson("node_modules/.package-lock.json").packages;
  return Object.entries(readJson("package-lock.json").packages).every(
    ([place, { version, optional }]) => place === "" || optional || there[place]?.version === version,
  );
}

function npm(args) {
  const run = spawnSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (run.status === 0) return;
  const said = `${run.stderr ?? ""}${run.error?.message ?? ""}`
    .split("\n")
    .filter((line) => line.trim() !== "" && !/debug-0\.log|^npm error +at /.test(line));
  const offline = /ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|network/i.test(said.join("\n"));
  console.error(said.slice(0, 8).join("\n"));
  fail(
    `npm ${args.join(" ")} failed${offline ? ": the npm registry cannot be reached" : ""}.`,
    offline
      ? "connect to the network (or point npm at a registry that you reach) and run this again"
      : `mend what npm names above, then run "npm ${args.join(" ")}"`,
  );
}

/** Type stripping without a flag came with 22.18. */
function runsTypeScript(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

function chooseNode() {
  if (!existsSync(pinnedNode)) {
    console.error("The pinned Node is missing; fetching it (npm rebuild node) …");
    spawnSync("npm", ["rebuild", "node", "--loglevel=error"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  }
  if (existsSync(pinnedNode)) return pinnedNode;
  if (runsTypeScript(process.versions.node)) return process.execPath;
  return fail(
    `The pinned Node could not be installed, and Node ${process.versions.node} is too old to run TypeScript.`,
    "install Node 22.18 or newer, or make the npm registry reachable, then run this again",
  );
}

function run(file, args) {
  const child = spawn(chooseNode(), [path.resolve(root, file), ...args], {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, MUSTER_WRAPPED: "1" },
  });
  // A terminal sends Ctrl-C to the child as well, and npm passes on to us what it got itself: without care the child would
  // hear one Ctrl-C up to three times, and a second one means "at once" to it.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  let lastForwardMs = -Infinity;
  const forward = (signal) => {
    const nowMs = performance.now();
    if ((signal === "SIGINT" && terminal) || nowMs - lastForwardMs < 300) return;
    lastForwardMs = nowMs;
    child.kill(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
  child.on("error", (error) => fail(`${file} could not be started: ${error.message}`, "run npm ci"));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    // End the way the child ended, so that the caller sees the same.
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

const [file, ...args] = process.argv.slice(2);
if (file === undefined) fail("No file to run.", "node scripts/with-node.mjs FILE [ARGUMENT …]");
if (!isInstalled()) {
  console.error("Installing dependencies (npm ci) …");
  npm(["ci"]);
}
// npm puts the pinned Node first in the path of its scripts, so after the first install there is nothing to wrap.
if (process.execPath === pinnedNode) {
  process.argv.splice(1, 1);
  process.argv[1] = path.resolve(root, file);
  await import(pathToFileURL(process.argv[1]).href);
} else run(file, args);
