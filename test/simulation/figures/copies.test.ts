import assert from "node:assert/strict";
import { test } from "node:test";
import { isMissed, parts } from "./gates.ts";

async function assertOurs(part: string): Promise<void> {
  const lines = (await parts[part]?.ours()) ?? assert.fail(`there is no part ${part}`);
  for (const { name, figures, gates } of lines) assert.deepEqual(gates.filter(isMissed), [], `${name}: ${figures}`);
}

test("one answer of twenty is ten times as slow: p99 stays at 18 ms for at most 9 % more work", () => assertOurs("stragglers"));

test("one of eleven servers is twelve times as slow for half a minute: 99.9 % are answered within a second", () =>
  assertOurs("slow-server"));
