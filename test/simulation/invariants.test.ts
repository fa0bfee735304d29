import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { invariants } from "./roll/invariants.ts";
import { rollMutants } from "./mutants.ts";
import { schedules } from "./roll/schedules/index.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/guarantees.md"), "utf8");
/** Rows of the tables: `| I1 | committed only | …`. */
const written = new Map([...page.matchAll(/^\| (I\d+) \| ([^|]+?) \|/gm)].map(([, id = "", name = ""]) => [id, name]));

test("docs/guarantees.md and the checkers of the simulation name the same invariants", () => {
  assert.deepEqual(
    [...written].sort((a, b) => (a < b ? -1 : 1)),
    invariants.map(({ id, name }) => [id, name]).sort((a, b) => (a < b ? -1 : 1)),
  );
});

test("each invariant has a checker that can complain", () => {
  const folder = join(import.meta.dirname, "roll");
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(join(folder, file), "utf8"));
  for (const { id, name, look, end, also } of invariants) {
    assert.ok(look !== undefined || end !== undefined || also !== undefined, `${id} ${name} is checked nowhere`);
    assert.ok(sources.some((source) => source.includes(`violation("${id}"`)) || id === "I28", `nothing ever reports ${id}`);
  }
});

test("docs/guarantees.md names every written schedule and every mutant", () => {
  const text = page.replaceAll(/\s+/g, " ");
  for (const { name } of rollMutants) assert.ok(text.includes(name), `the mutant "${name}" is not in docs/guarantees.md`);
  for (const name of Object.keys(schedules)) assert.ok(page.includes(`*${name}*`), `the schedule "${name}" is not in docs/guarantees.md`);
});
