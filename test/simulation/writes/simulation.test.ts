import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { writeMutants } from "./mutants.ts";
import { runWritesSeed } from "./run-seed.ts";
import { schedules } from "./schedules.ts";

const runner = join(import.meta.dirname, "..", "run.ts");
const corpus: { seed: number; why: string }[] = JSON.parse(readFileSync(join(import.meta.dirname, "corpus.json"), "utf8"));

/** The same with each run, so that two runs of one tree can be compared, and others, so that each run looks at something new. */
const fixedSeeds = 300;
/** A failing one is printed with the command that repeats it, and belongs into the corpus then. */
const newSeeds = 300;
/** A build judges a change, not the luck of a draw: it takes the same new seeds every time; at a desk they differ. */
const newFrom = process.env["CI"] === undefined ? 1_000_000 + Math.floor(Math.random() * 10_000_000) : 2_000_000;
/** A mutant that random seeds catch is caught within so many; the others have a schedule. */
const mutantSeedsMax = 1500;

function run(args: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, "writes", ...args], { maxBuffer: 1e7, timeout: 300_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, said: `${stdout}${stderr}` });
    });
  });
}

describe("ordering groups in simulation", () => {
  for (const { seed, why } of corpus) test(`seed ${seed} of the corpus: ${why}`, async () => void (await runWritesSeed(seed)));

  for (const [name, schedule] of Object.entries(schedules)) test(`written schedule: ${name}`, async () => void (await schedule(1)));

  for (const [which, from, seeds] of [
    ["the usual", 1, fixedSeeds],
    ["new", newFrom, newSeeds],
  ] as const)
    test(`${seeds} ${which} seeds of a group under faults break no invariant and achieve enough`, async (context) => {
      context.diagnostic(`from seed ${from}`);
      const { code, said } = await run(["--seeds", String(seeds), "--from", String(from)]);
      assert.equal(code, 0, said);
      assert.match(said, /no violation/);
    });
});

describe("mutants of ordering groups", { concurrency: 2 }, () => {
  test("every edit of every mutant fits the sources", () => {
    for (const { name, edits } of writeMutants)
      for (const { file, find, everywhere } of edits) {
        const source = readFileSync(new URL(`../../../src/${file}`, import.meta.url), "utf8");
        const places = source.split(find).length - 1;
        assert.ok(places === 1 || (everywhere === true && places > 1), `${name}: ${places} places for ${find}`);
      }
  });

  for (const { name, schedule, seedsFrom = 1 } of writeMutants)
    test(`mutant caught: ${name}`, async () => {
      const how =
        schedule === undefined
          ? ["--seeds", String(mutantSeedsMax), "--from", String(seedsFrom), "--jobs", "1"]
          : ["--seeds", "1", "--schedule", schedule];
      const { code, said } = await run([...how, "--mutant", name]);
      assert.equal(code, 0, said);
      assert.match(said, /^caught$/m);
    });
});
