/**
 * Real files through the bundled fleet while its bitfile servers, gateways and metadata servers are killed (-9) and restarted at random,
 * one of each kind at a time; at the end every file that was acknowledged must read back identical.
 *
 *   node test/integration/filestore-storm.ts --seconds 120 --files 200 [--size-max 64MiB] [--seed N]
 */
import { createCipheriv, createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { SeededRandom } from "../../src/kernel/index.ts";
import { type Fleet, connect } from "../../src/index.ts";
import { BundledFleet, hasAllCopies, muster, until } from "./bundled-fleet.ts";

const writers = 3;
const readers = 2;
const callMsMax = 60_000;
/** A client that got no answer asks again, at another gateway. */
const triesMax = 12;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    files: { type: "string", default: "200" },
    "size-max": { type: "string", default: "64MiB" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  },
});
const seconds = Number(values.seconds);
const fileCount = Number(values.files);
const sizeBytesMax = Number.parseInt(values["size-max"], 10) * (values["size-max"].endsWith("KiB") ? 1024 : 1024 * 1024);
const random = new SeededRandom(Number(values.seed));

interface Stored {
  readonly sha256: string;
  readonly size: number;
}

const acknowledged = new Map<string, Stored>();
const figures = { puts: 0, putBytes: 0, putTries: 0, overwrites: 0, gets: 0, getBytes: 0, getTries: 0, kills: 0 };
const failures: string[] = [];
const putMs: number[] = [];
/** Between one file that was read and the next one, whoever read it. */
let readGapMs = 0;
let lastReadMs: number | undefined;
const getMs: number[] = [];

/** Sizes from 1 byte to the maximum, as many between 1 and 2 KiB as between 1 and 2 MiB; both ends are among them. */
function sizeOf(index: number): number {
  if (index === 0) return 1;
  if (index === 1) return sizeBytesMax;
  return Math.max(1, Math.round(sizeBytesMax ** random.fraction()));
}

/** Bytes that no two versions share. */
function contentOf(name: string, version: number, size: number): Buffer<ArrayBuffer> {
  const key = createHash("sha256").update(`${values.seed} ${name} ${version}`).digest();
  return Buffer.from(createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size)));
}

function quantile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? 0;
}

/** Calls one gateway after the other until one answers; resolves with undefined when none does. */
async function overGateways<T>(
  fleet: BundledFleet,
  count: () => void,
  call: (url: string) => Promise<T | undefined>,
): Promise<T | undefined> {
  const { urls } = fleet;
  const first = Math.floor(Math.random() * urls.length);
  for (let attempt = 0; attempt < triesMax; attempt++) {
    count();
    try {
      const answer = await call(urls[(first + attempt) % urls.length] ?? "");
      if (answer !== undefined) return answer;
    } catch {
      // The gateway was killed under the call: that is what another one is for.
    }
    if (attempt >= urls.length) await delay(200);
  }
  return undefined;
}

async function store(fleet: BundledFleet, name: string, version: number, size: number): Promise<void> {
  const bytes = contentOf(name, version, size);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const startedMs = performance.now();
  const status = await overGateways(
    fleet,
    () => (figures.putTries += 1),
    async (url) => {
      const response = await fetch(`${url}/${name}`, { method: "PUT", body: bytes, signal: AbortSignal.timeout(callMsMax) });
      await response.text();
      return response.status === 201 ? 201 : undefined;
    },
  );
  if (status === undefined) {
    failures.push(`${name} could not be stored through any gateway`);
    return;
  }
  acknowledged.set(name, { sha256, size });
  figures.puts += 1;
  figures.putBytes += size;
  putMs.push(performance.now() - startedMs);
}

async function readBack(fleet: BundledFleet, name: string): Promise<void> {
  const startedMs = performance.now();
  const before = acknowledged.get(name);
  const got = await overGateways(
    fleet,
    () => (figures.getTries += 1),
    async (url) => {
      const response = await fetch(`${url}/${name}`, { signal: AbortSignal.timeout(callMsMax) });
      if (response.status === 404) return { sha256: "absent", size: 0 };
      if (response.status !== 200) {
        await response.text();
        return undefined;
      }
      const hash = createHash("sha256");
      let size = 0;
      for await (const chunk of response.body ?? []) {
        hash.update(chunk);
        size += chunk.length;
      }
      return { sha256: hash.digest("hex"), size };
    },
  );
  // An overwrite that was acknowledged, or is under way, while this was read: both versions are right.
  if (acknowledged.get(name) !== before || overwriting.has(name)) return;
  if (got === undefined) failures.push(`${name} could not be read through any gateway`);
  else if (got.sha256 !== before?.sha256)
    failures.push(`${name} (${before?.size} bytes) came back different (${got.size} bytes, ${got.sha256})`);
  figures.gets += 1;
  figures.getBytes += got?.size ?? 0;
  const nowMs = performance.now();
  getMs.push(nowMs - startedMs);
  readGapMs = Math.max(readGapMs, nowMs - (lastReadMs ?? nowMs));
  lastReadMs = nowMs;
}

const overwriting = new Set<string>();

/** Kills one server of the kind, restarts it a moment later, waits until it is on the roll again (and `isWhole`); and so on. */
async function shootAt(
  fleet: BundledFleet,
  table: string,
  keys: readonly string[],
  untilMs: number,
  isWhole: () => boolean = () => true,
): Promise<void> {
  while (performance.now() < untilMs) {
    await delay(500 + Math.random() * 1500);
    const key = keys[Math.floor(Math.random() * keys.length)] ?? "";
    await fleet.kill(key);
    figures.kills += 1;
    await delay(100 + Math.random() * 1500);
    const started = fleet.restart(key);
    const other = fleet.agentOf("HOST5");
    const onTheRoll = async () => {
      if (started.end !== undefined) throw new Error(`${key} has ended: ${JSON.stringify(started.end)}\n${started.logTail()}`);
      return isWhole() && (await muster(["find", table, key, "--json"], other)).code === 0;
    };
    await until(() => `${key} is on the roll again\n${started.logTail()}`, 20_000, onTheRoll);
  }
}

async function storm(fleet: BundledFleet, roll: Fleet): Promise<void> {
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  const sizes = Array.from({ length: fileCount }, (_, index) => sizeOf(index));
  let next = 0;
  const write = async () => {
    while (next < fileCount) {
      const index = next++;
      const dueMs = startedMs + (index / fileCount) * seconds * 900;
      if (dueMs > performance.now()) await delay(dueMs - performance.now());
      await store(fleet, `storm/${index % 7}/${index}.bin`, 0, sizes[index] ?? 1);
    }
  };
  const overwrite = async () => {
    for (let version = 1; performance.now() < endMs; version++) {
      await delay(500);
      const names = Array.from(acknowledged.keys());
      const name = names[Math.floor(Math.random() * names.length)];
      if (name === undefined) continue;
      overwriting.add(name);
      await store(fleet, name, version, Math.max(1, Math.round(1_000_000 ** Math.random())));
      overwriting.delete(name);
      figures.overwrites += 1;
    }
  };
  const read = async () => {
    while (performance.now() < endMs) {
      const names = Array.from(acknowledged.keys());
      const name = names[Math.floor(Math.random() * names.length)];
      if (name === undefined) await delay(50);
      else await readBack(fleet, name);
      await delay(20);
    }
  };
  await Promise.all([
    ...Array.from({ length: writers }, write),
    ...Array.from({ length: readers }, read),
    overwrite(),
    shootAt(fleet, "bitfile", ["BSS.1", "BSS.2", "BSS.3"], endMs),
    shootAt(fleet, "gateway", ["GW.1", "GW.2", "GW.3"], endMs),
    // Each process holds copies of two instances: the next one is shot when the last one has caught up.
    shootAt(fleet, "metadata", ["MDS.1.1", "MDS.2.1", "MDS.3.1"], endMs, () => hasAllCopies(roll)),
  ]);
}

function report(fleet: BundledFleet, tookMs: number): void {
  const mebibytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(0);
  const times = (list: number[]) => {
    const sorted = list.toSorted((a, b) => a - b);
    return `p50 ${quantile(sorted, 0.5).toFixed(0)} ms, p99 ${quantile(sorted, 0.99).toFixed(0)} ms, max ${(sorted.at(-1) ?? 0).toFixed(0)} ms`;
  };
  console.log(
    `seed ${values.seed}: fleet up after ${(fleet.tookMs / 1000).toFixed(1)} s, storm of ${(tookMs / 1000).toFixed(0)} s, ${figures.kills} kills -9`,
  );
  console.log(
    `stored ${figures.puts} (${figures.overwrites} over another), ${mebibytes(figures.putBytes)} MiB, ${figures.putTries - figures.puts} tried again; ${times(putMs)}`,
  );
  console.log(
    `read ${figures.gets}, ${mebibytes(figures.getBytes)} MiB, ${figures.getTries - figures.gets} tried again; ${times(getMs)}, longest gap ${readGapMs.toFixed(0)} ms`,
  );
}

const dataFolder = await mkdtemp(join(tmpdir(), "muster-storm-"));
try {
  const fleet = await BundledFleet.start(dataFolder);
  // A gateway's agent is never shot at.
  const roll = await connect({ agent: fleet.map.agent });
  const end = async () => {
    await fleet.stop();
    process.exit(1);
  };
  process.once("SIGINT", () => void end());
  process.once("SIGTERM", () => void end());
  try {
    const startedMs = performance.now();
    await until("every metadata instance has its copies", 20_000, () => hasAllCopies(roll));
    await storm(fleet, roll);
    const tookMs = performance.now() - startedMs;
    lastReadMs = undefined;
    for (const name of acknowledged.keys()) await readBack(fleet, name);
    report(fleet, tookMs);
    console.log(`${acknowledged.size} files acknowledged, ${failures.length} failures`);
    if (acknowledged.size < fileCount) failures.push(`only ${acknowledged.size} of ${fileCount} files were acknowledged`);
  } finally {
    await roll.close();
    await fleet.stop();
  }
  const left = fleet.leftovers();
  if (left.length > 0) failures.push(`still running: ${left.join(", ")}`);
} finally {
  await rm(dataFolder, { recursive: true, force: true });
}
for (const failure of failures.slice(0, 20)) console.error(`FAILED: ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
