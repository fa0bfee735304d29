import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { rollMutants } from "./mutants.ts";
import { runSeed } from "./roll/run-seed.ts";
import { schedules } from "./roll/schedules/index.ts";

const runner = join(import.meta.dirname, "run.ts");
/** `roll` where no protocol is named. */
const corpus: { seed: number; why: string; protocol?: "liveness" }[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "corpus.json"), "utf8"),
);

/** The same with each run, so that two runs of one tree can be compared, and others, so that each run looks at something new. */
const fixedSeeds = 40;
/** A failing one is printed with the command that repeats it, and belongs into the corpus then. */
const newSeeds = 60;
/** A build judges a change, not the luck of a draw: it takes the same new seeds every time; at a desk they differ. */
const newFrom = process.env["CI"] === undefined ? 100_000 + Math.floor(Math.random() * 1_000_000) : 200_000;
/** A mutant that random seeds catch is caught within so many; the others have a schedule. */
const mutantSeedsMax = 400;

interface Ended {
  readonly code: number;
  readonly said: string;
}

function run(protocol: "roll" | "liveness", args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [runner, protocol, ...args], { maxBuffer: 1e7, timeout: 300_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, said: `${stdout}${stderr}` });
    });
  });
}

describe("the roll in simulation", () => {
  for (const { seed, why, protocol } of corpus)
    test(`seed ${seed} of the corpus: ${why}`, async () => {
      await runSeed(seed, { liveness: protocol === "liveness" });
    });

  for (const [name, schedule] of Object.entries(schedules)) test(`written schedule: ${name}`, () => schedule(1));

  const fleets = {
    roll: "a fleet with relays, agents and programs",
    liveness: "a fleet whose routes are probed, lose packets and are cut",
  } as const;
  for (const protocol of ["roll", "liveness"] as const)
    for (const [which, from, seeds] of [
      ["the usual", 1, fixedSeeds],
      ["new", newFrom, newSeeds],
    ] as const)
      test(`${seeds} ${which} seeds of ${fleets[protocol]} break no invariant and achieve enough`, async (context) => {
        context.diagnostic(`from seed ${from}`);
        const { code, said } = await run(protocol, ["--seeds", String(seeds), "--from", String(from)]);
        assert.equal(code, 0, said);
        assert.match(said, /no violation/);
      });
});

describe("mutants of the roll", { concurrency: 2 }, () => {
  for (const { name, schedule } of rollMutants)
    test(`mutant caught: ${name}`, async () => {
      const how = schedule === undefined ? ["--seeds", String(mutantSeedsMax)] : ["--seeds", "1", "--schedule", schedule];
      const { code, said } = await run("roll", [...how, "--mutant", name]);
      assert.equal(code, 0, said);
      assert.match(said, /^caught$/m);
    });
});
