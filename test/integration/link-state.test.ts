import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { test } from "node:test";
import { SystemClock, silentTelemetry } from "../../src/kernel/index.ts";
import { LinkState } from "../../src/main/link-state.ts";

const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] });
const name = `mst${process.pid % 100_000}`;
const address = "198.51.100.77";

function makePair(): boolean {
  try {
    ip("link", "add", `${name}a`, "type", "veth", "peer", "name", `${name}b`);
    return true;
  } catch {
    return false;
  }
}

interface Told {
  readonly text: string;
  readonly atMs: number;
}

const mayMake = makePair();

test("[DSD-28] a pulled cable is told within 100 ms, and nothing is left behind", {
  skip: mayMake ? false : "needs the right to make interfaces",
}, async () => {
  const told: Told[] = [];
  const state = new LinkState({
    addresses: [address, "127.0.0.2"],
    clock: new SystemClock(),
    telemetry: silentTelemetry,
    report: (one, up) => told.push({ text: `${one} ${up ? "up" : "down"}`, atMs: performance.now() }),
  });
  const until = async (count: number) => {
    for (let tries = 0; told.length < count && tries < 300; tries++) await wait(10);
  };
  try {
    ip("addr", "add", `${address}/24`, "dev", `${name}a`);
    ip("link", "set", `${name}a`, "up");
    ip("link", "set", `${name}b`, "up");
    await state.start();
    assert.equal(told.length, 0);
    // Listening begins with a process of its own, which may be on its way still.
    await wait(200);
    const pulledAtMs = performance.now();
    ip("link", "set", `${name}b`, "down");
    await until(1);
    assert.equal(told[0]?.text, `${address} down`);
    assert.ok((told[0]?.atMs ?? Infinity) - pulledAtMs < 100);
    ip("link", "set", `${name}b`, "up");
    await until(2);
    assert.equal(told[1]?.text, `${address} up`);
  } finally {
    state.close();
    ip("link", "del", `${name}a`);
  }
  for (let tries = 0; tries < 100 && monitors() > 0; tries++) await wait(20);
  assert.equal(monitors(), 0);
});

/** Processes named `ip` whose ancestor is this one. */
function monitors(): number {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid=,comm="], { encoding: "utf8" }).trim().split("\n");
  const rows = lines.map((line) => line.trim().split(/\s+/));
  const ours = new Set([String(process.pid)]);
  for (const [pid = "", parent = ""] of rows) if (ours.has(parent)) ours.add(pid);
  return rows.filter(([pid = "", , command]) => ours.has(pid) && command === "ip").length;
}
