import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { rollMutants } from "./mutants.ts";
import { runSeed } from "./roll/run-seed.ts";
import { schedules } from "./roll/schedules.ts";

const runner = join(import.meta.dirname, "run.ts");
const corpus: { seed: number; why: string }[] = JSON.parse(readFileSync(join(import.meta.dirname, "corpus.json"), "utf8"));

/** New seeds with each run; a failing one is printed with the command that repeats it, and belongs into the corpus then. */
const newSeeds = 120;
/** A mutant that random seeds catch is caught within so many; the others have a schedule. */
const mutantSeedsMax = 600;

interface Ended {
  readonly code: number;
  readonly said: string;
}

function run(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, "roll", ...args], { maxBuffer: 1e7, timeout: 300_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, said: `${stdout}${stderr}` });
    });
  });
}

describe("the roll in simulation", () => {
  for (const { seed, why } of corpus)
    test(`seed ${seed} of the corpus: ${why}`, async () => {
      await runSeed(seed);
    });

  for (const [name, schedule] of Object.entries(schedules)) test(`written schedule: ${name}`, () => schedule(1));

  test(`${newSeeds} new seeds of a fleet with relays, agents and programs break no invariant and achieve enough`, async () => {
    const from = 100_000 + Math.floor(Math.random() * 1_000_000);
    const { code, said } = await run(["--seeds", String(newSeeds), "--from", String(from)]);
    assert.equal(code, 0, said);
    assert.match(said, /no violation/);
  });

  for (const { name, schedule } of rollMutants)
    test(`mutant caught: ${name}`, async () => {
      const how = schedule === undefined ? ["--seeds", String(mutantSeedsMax)] : ["--seeds", "2", "--schedule", schedule];
      const { code, said } = await run([...how, "--mutant", name]);
      assert.equal(code, 0, said);
      assert.match(said, /caught/);
    });
});
