import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, test } from "node:test";
import { connect } from "../../src/index.ts";
import { BundledFleet, hasAllCopies, metadataGroup, metadataInstances, metadataProcessOf, until } from "./bundled-fleet.ts";

/** FILESTORE_KILLS=50 kills as often. */
const kills = Number(process.env["FILESTORE_KILLS"] ?? 10);
/** One for each instance; the roll gives up a stopped process after a second. */
const pausesMs = [600, 1500, 2500] as const;
const writers = 3;
const readers = 2;
const counters = 2;
const killMsMax = 30_000;
/** Far above what is seen: a kill must never look like an outage. */
const gapMsMax = 5000;

/** Requests one after the other at the gateways in turn, each once: whatever is not answered as it should be is a failure. */
class Load {
  readonly acknowledged = new Map<string, string>();
  readonly failures: string[] = [];
  readonly #urls: readonly string[];
  readonly #figures = new Map<string, { count: number; slowestMs: number; gapMs: number; lastMs: number }>();
  isOver = false;
  longestGapMs = 0;
  increments = 0;
  lostRaces = 0;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  async run(): Promise<void> {
    const all = [
      ...Array.from({ length: writers }, (_, writer) => this.#write(writer)),
      ...Array.from({ length: readers }, (_, reader) => this.#read(reader)),
      ...Array.from({ length: counters }, (_, counter) => this.#count(counter)),
    ];
    await Promise.all(all);
  }

  /** Of the time since it was last asked. */
  report(): string {
    const parts = Array.from(this.#figures, ([kind, { count, slowestMs, gapMs }]) => {
      this.longestGapMs = Math.max(this.longestGapMs, gapMs);
      return `${count} ${kind} (slowest ${Math.round(slowestMs)} ms, longest gap ${Math.round(gapMs)} ms)`;
    });
    this.#figures.clear();
    return parts.join(", ");
  }

  async call(kind: string, turn: number, path: string, options: RequestInit, good: readonly number[]): Promise<Response | undefined> {
    const startedMs = performance.now();
    try {
      const response = await fetch(`${this.#urls[turn % this.#urls.length]}/${path}`, options);
      if (!good.includes(response.status)) {
        this.failures.push(`${kind} ${path}: ${response.status} ${await response.text()}`);
        return undefined;
      }
      return response;
    } catch (thrown) {
      this.failures.push(`${kind} ${path}: ${String(thrown)}`);
      return undefined;
    } finally {
      const nowMs = performance.now();
      const { count, slowestMs, gapMs, lastMs } = this.#figures.get(kind) ?? { count: 0, slowestMs: 0, gapMs: 0, lastMs: nowMs };
      this.#figures.set(kind, {
        count: count + 1,
        slowestMs: Math.max(slowestMs, nowMs - startedMs),
        gapMs: Math.max(gapMs, nowMs - lastMs),
        lastMs: nowMs,
      });
    }
  }

  async #write(writer: number): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      const name = `w/${writer}/${turn % 40}`;
      const body = `${writer} ${turn} ${"x".repeat(turn % 500)}`;
      const response = await this.call("puts", turn + writer, name, { method: "PUT", body }, [201]);
      await response?.text();
      if (response !== undefined) this.acknowledged.set(name, body);
      // A file that is read while it is overwritten may be either: readers look at those of which the last PUT is acknowledged.
      await delay(10);
    }
  }

  async #read(reader: number): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      await delay(10);
      const names = [...this.acknowledged.keys()];
      const name = names[(turn * 7 + reader * 3) % names.length];
      if (name === undefined) continue;
      const before = this.acknowledged.get(name);
      const response = await this.call("gets", turn, name, {}, [200]);
      const text = await response?.text();
      const isOld = text !== undefined && before !== undefined && Number(text.split(" ")[1]) < Number(before.split(" ")[1]);
      if (isOld) this.failures.push(`${name}: ${text?.slice(0, 20)} was read after ${before?.slice(0, 20)} had been acknowledged`);
    }
  }

  /** Read, add one, write if nobody was faster: an increment that took effect twice, or not at all, shows in the sum. */
  async #count(counter: number): Promise<void> {
    for (let turn = 0; !this.isOver; turn++) {
      const got = await this.call("gets", turn + counter, "counter", {}, [200, 404]);
      if (got === undefined) continue;
      const text = await got.text();
      const count = got.status === 404 ? 0 : Number(text.split(" ")[0]);
      const headers = got.status === 404 ? { "if-none-match": "*" } : { "if-match": got.headers.get("etag") ?? "" };
      const body = `${count + 1} by ${counter} in ${turn}`;
      const put = await this.call("increments", turn, "counter", { method: "PUT", body, headers }, [201, 412]);
      await put?.text();
      if (put?.status === 201) this.increments += 1;
      else this.lostRaces += 1;
      await delay(5);
    }
  }

  async readAll(): Promise<void> {
    for (const [name, body] of this.acknowledged) {
      const response = await this.call("gets at the end", 0, name, {}, [200]);
      const text = await response?.text();
      if (text !== body) this.failures.push(`${name}: ${text?.slice(0, 40)} instead of ${body.slice(0, 40)}`);
    }
  }
}

let dataFolder = "";
after(() => rm(dataFolder, { recursive: true, force: true }));

test(`[MRT-7] metadata primaries are killed ${kills} times and stopped under load: no request fails, each acknowledged write is there once`, {
  timeout: 90_000 + kills * killMsMax,
}, async (context) => {
  dataFolder = await mkdtemp(join(tmpdir(), "muster-kills-"));
  await using fleet = await BundledFleet.start(dataFolder);
  context.after(() => fleet.stop("SIGKILL"));
  await using roll = await connect({ agent: fleet.map.agent });
  const describe = () => JSON.stringify(metadataInstances.map((instance) => metadataGroup(roll, instance)));
  const whole = () => hasAllCopies(roll);
  await until(describe, 20_000, whole);

  const load = new Load(fleet.urls);
  const running = load.run();
  const killed: string[] = [];
  try {
    await delay(1000);
    for (let kill = 0; kill < kills && load.failures.length === 0; kill++) {
      const instance = metadataInstances[kill % metadataInstances.length] ?? "";
      const { synchronising } = metadataGroup(roll, instance);
      const victim = metadataProcessOf(synchronising);
      await fleet.kill(victim);
      killed.push(victim);
      await delay(200);
      const again = fleet.restart(victim);
      await until(() => `${describe()}\n${again.logTail()}`, killMsMax, whole);
      await delay(Math.random() * 500);
    }
    context.diagnostic(`${killed.length} kills: ${load.report()}`);
    for (const [index, pauseMs] of pausesMs.entries()) {
      const paused = fleet.pidOf(metadataProcessOf(metadataGroup(roll, metadataInstances[index] ?? "").synchronising));
      process.kill(paused, "SIGSTOP");
      await delay(pauseMs);
      process.kill(paused, "SIGCONT");
      // It learns only now that others went on without it.
      await delay(1000);
      await until(describe, killMsMax, whole);
    }
  } finally {
    if (load.failures.length > 0) {
      const entries = roll.search("metadata").map(({ key, valid }) => `${key} ${valid ? "valid" : "gone"}`);
      context.diagnostic(`after ${killed.join(" ")}: ${describe()}, ${entries.join(", ")}\n${await fleet.logTails("metadata")}`);
    }
    load.isOver = true;
    await running;
  }
  context.diagnostic(`stopped for ${pausesMs.join(", ")} ms: ${load.report()}`);
  await load.readAll();
  const counter = await (await fetch(`${fleet.urls[0]}/counter`)).text();
  context.diagnostic(`${load.increments} increments acknowledged, ${load.lostRaces} lost races, the counter says ${counter.split(" ")[0]}`);
  assert.deepEqual(load.failures.slice(0, 5), []);
  assert.equal(killed.length, kills);
  assert.equal(Number(counter.split(" ")[0]), load.increments);
  assert.ok(load.increments > kills && load.acknowledged.size > 100, "there was load");
  assert.ok(load.longestGapMs < gapMsMax, `${load.longestGapMs} ms without an answer`);
});
