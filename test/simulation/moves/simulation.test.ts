import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { moveMutants } from "./mutants.ts";
import { schedules } from "./schedules.ts";

const runner = join(import.meta.dirname, "..", "run.ts");

/** As with one group: some seeds are the same in each run, others are new, but not where a build judges a change. */
const fixedSeeds = 200;
const newSeeds = 200;
const newFrom = process.env["CI"] === undefined ? 1_000_000 + Math.floor(Math.random() * 10_000_000) : 2_000_000;
const mutantSeedsMax = 1500;

function run(args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, "moves", ...args], { maxBuffer: 1e7, timeout: 300_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, said: `${stdout}${stderr}` });
    });
  });
}

describe("moving keys in simulation", () => {
  for (const [name, schedule] of Object.entries(schedules)) test(`written schedule: ${name}`, async () => void (await schedule(1)));

  for (const [which, from, seeds] of [
    ["the usual", 1, fixedSeeds],
    ["new", newFrom, newSeeds],
  ] as const)
    test(`${seeds} ${which} seeds of groups that share keys under faults break no invariant and achieve enough`, async (context) => {
      context.diagnostic(`from seed ${from}`);
      const { code, said } = await run(["--seeds", String(seeds), "--from", String(from)]);
      assert.equal(code, 0, said);
      assert.match(said, /no violation/);
    });
});

describe("mutants of moving keys", { concurrency: 2 }, () => {
  test("docs/guarantees.md names every written schedule and every mutant", () => {
    const page = readFileSync(join(import.meta.dirname, "../../../docs/guarantees.md"), "utf8");
    for (const { name } of moveMutants) assert.ok(page.includes(name), `the mutant "${name}" is not in docs/guarantees.md`);
    for (const name of Object.keys(schedules)) assert.ok(page.includes(`*${name}*`), `the schedule "${name}" is not in docs/guarantees.md`);
  });

  test("every edit of every mutant fits the sources", () => {
    for (const { name, edits } of moveMutants)
      for (const { file, find, everywhere } of edits) {
        const source = readFileSync(new URL(`../../../src/${file}`, import.meta.url), "utf8");
        const places = source.split(find).length - 1;
        assert.ok(places === 1 || (everywhere === true && places > 1), `${name}: ${places} places for ${find}`);
      }
  });

  for (const { name, schedule } of moveMutants)
    test(`mutant caught: ${name}`, async () => {
      const how = schedule === undefined ? ["--seeds", String(mutantSeedsMax)] : ["--seeds", "1", "--schedule", schedule];
      const { code, said } = await run([...how, "--mutant", name]);
      assert.equal(code, 0, said);
      assert.match(said, /^caught$/m);
    });
});
