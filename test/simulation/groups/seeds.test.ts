import assert from "node:assert/strict";
import { test } from "node:test";
import { type GroupsAchieved, runGroupsSeed } from "./run-seed.ts";

const seeds = 10;

test(`[MRT-7] [MRT-8] over ${seeds} runs with faults each write has one outcome, and all servers agree on the sum`, async (context) => {
  const sum = { answered: 0, asked: 0, abandoned: 0, latest: 0, session: 0, epochs: 0, faults: 0 };
  for (let seed = 1; seed <= seeds; seed++) {
    let achieved: GroupsAchieved;
    try {
      achieved = await runGroupsSeed(seed);
    } catch (thrown) {
      throw new Error(`seed ${seed}`, { cause: thrown });
    }
    assert.ok(achieved.answered >= 50, `seed ${seed}: ${achieved.answered} writes`);
    for (const name of ["answered", "asked", "abandoned", "latest", "session", "epochs", "faults"] as const) sum[name] += achieved[name];
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(sum.epochs >= 4 * seeds);
  assert.ok(sum.asked > 0);
});
