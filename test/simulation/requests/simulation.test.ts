import assert from "node:assert/strict";
import { test } from "node:test";
import { type RequestsAchieved, runRequestsSeed } from "./run-seed.ts";

/** The same with each run, so that two runs of one tree can be compared, and others, so that each run looks at something new. */
const fixedSeeds = 40;
const newSeeds = 60;
/** A build judges a change, not the luck of a draw: it takes the same new seeds every time; at a desk they differ. */
const newFrom = process.env["CI"] === undefined ? 100_000 + Math.floor(Math.random() * 1_000_000) : 200_000;

async function runs(from: number, seeds: number): Promise<void> {
  const sums: Record<keyof RequestsAchieved, number> = { asked: 0, answered: 0, unknown: 0, failed: 0, again: 0, copied: 0, faults: 0 };
  for (let seed = from; seed < from + seeds; seed++) {
    const achieved = await runRequestsSeed(seed).catch((thrown: unknown) => {
      throw new Error(`seed ${seed}; again: node test/simulation/requests/run.ts --from ${seed} --seeds 1 --trace`, { cause: thrown });
    });
    for (const name of ["asked", "answered", "unknown", "failed", "again", "copied", "faults"] as const) sums[name] += achieved[name];
  }
  // A run in which nothing happens proves nothing.
  assert.ok(sums.asked >= 400 * seeds && sums.answered >= 300 * seeds, `${sums.answered} of ${sums.asked} answered`);
  assert.ok(sums.unknown >= 5 * seeds, `${sums.unknown} unknown`);
  assert.ok(sums.again >= 2 * seeds, `${sums.again} sent again`);
  assert.ok(sums.copied >= 0.4 * seeds, `${sums.copied} copied`);
  assert.ok(sums.faults >= 5 * seeds, `${sums.faults} faults`);
}

test("[DSD-20] each request ends once, each write is begun once at most, re-sends stay within the budget: fixed seeds", () =>
  runs(1, fixedSeeds));

test("[DSD-20] the same in seeds that nobody has seen", () => runs(newFrom, newSeeds));
