import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { rollMutants } from "./mutants.ts";

test("every edit of every mutant fits the sources", () => {
  for (const { name, edits } of rollMutants)
    for (const { file, find, everywhere } of edits) {
      const source = readFileSync(new URL(`../../src/${file}`, import.meta.url), "utf8");
      const places = source.split(find).length - 1;
      assert.ok(places === 1 || (everywhere === true && places > 1), `${name}: ${places} places for ${find}`);
    }
});
