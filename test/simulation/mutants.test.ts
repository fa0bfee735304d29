import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { rollMutants } from "./mutants.ts";

test("every edit of every mutant fits exactly one place of the sources", () => {
  for (const { name, edits } of rollMutants)
    for (const { file, find } of edits) {
      const source = readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8");
      assert.equal(source.split(find).length - 1, 1, `${name}: ${find}`);
    }
});
