import assert from "node:assert/strict";
import { test } from "node:test";
import { type Line, isMissed, parts } from "./gates.ts";

function assertReached(lines: readonly Line[]): void {
  for (const { name, figures, gates } of lines) assert.deepEqual(gates.filter(isMissed), [], `${name}: ${figures}`);
}

test("small models of hedging, balancing and retry storms give the figures that others have published", () => {
  for (const { models } of Object.values(parts)) assertReached(models());
});

test("five seconds of servers three times as slow cost no more than the budget allows, and are over ten seconds later", async () => {
  assertReached((await parts["storm"]?.ours()) ?? assert.fail("there is no storm"));
});
