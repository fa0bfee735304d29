import assert from "node:assert/strict";
import { test } from "node:test";
import { type TestResult, parseRows, render, rowsOf, staleness, titlesOf } from "../../scripts/conformance.ts";
import { idsOf, requirements } from "../../scripts/requirement-ids.ts";

const results: readonly TestResult[] = [
  { file: "src/find/finder.test.ts", name: "[DSD-6] in memory", outcome: "passed" },
  { file: "test/integration/find.test.ts", name: "[DSD-6] over sockets", outcome: "passed" },
  { file: "test/integration/find.test.ts", name: "[DSD-7] [DSD-8] partitions", outcome: "passed" },
  { file: "test/integration/route.test.ts", name: "[DSD-17] needs root", outcome: "skipped" },
  { file: "test/integration/route.test.ts", name: "[DSD-18] fails", outcome: "failed" },
];
const partly = { "DSD-8": "only modulus" };
const rows = rowsOf(results, partly);
const row = (id: string) => rows.find((one) => one.id === id);

test("a title carries its ids in brackets", () => {
  assert.deepEqual(idsOf("[DSD-4] [DSD-5, DSD-6] a [thing] is found"), ["DSD-4", "DSD-5", "DSD-6"]);
});

test("an id is proven by a test that passed, a whole-program test first; skipped and failed tests prove nothing", () => {
  assert.deepEqual(row("DSD-6"), { id: "DSD-6", state: "proven", text: 'test/integration/find.test.ts : "[DSD-6] over sockets"' });
  assert.equal(row("DSD-7")?.state, "proven");
  assert.equal(row("DSD-17")?.state, "missing");
  assert.equal(row("DSD-18")?.state, "missing");
});

test("what is declared partly met stays so, whatever passes", () => {
  assert.deepEqual(row("DSD-8"), { id: "DSD-8", state: "partly", text: "only modulus" });
});

test("the page has one row for each id, in the agreed form, and is read back as it was written", () => {
  const page = render(rows);
  assert.deepEqual(parseRows(page), rows);
  assert.equal(parseRows(page).length, Object.keys(requirements).length);
  assert.match(page, /^\| DSD-6 \| proven \| test\/integration\/find\.test\.ts : "\[DSD-6\] over sockets" \|$/m);
  assert.match(page, /^\| DSD-8 \| partly \| only modulus \|$/m);
  assert.match(page, /^\| DSD-18 \| missing \| \|$/m);
});

test("the page is stale when a test, a row or a part changes", () => {
  const claims = results.filter(({ outcome }) => outcome === "passed").map(({ file, name }) => ({ file, title: name }));
  assert.deepEqual(staleness(rows, claims, partly), []);
  assert.equal(staleness(rows.slice(1), claims, partly).length, 1, "a row is gone");
  assert.equal(staleness(rows, claims.slice(0, 2), partly).length, 1, "a test is gone");
  assert.equal(staleness(rows, claims.slice(0, 1).concat(claims.slice(2)), partly).length, 1, "the named test is gone, another is there");
  assert.equal(staleness(rows, claims, {}).length, 1, "what was partly met is whole");
  assert.equal(staleness(rows, claims, { "DSD-8": "other" }).length, 1, "something else is missing");
  assert.equal(staleness(rows, [...claims, { file: "x.test.ts", title: "[DSD-99] no such id" }], partly).length, 1, "an unknown id");
});

test("titles are read from sources in every quotation", () => {
  assert.deepEqual(titlesOf('test("a \\"b\\"", () => {}); it(`[DSD-1] ${x}`, f); test.skip("no", f); latest("no");'), [
    'a "b"',
    "[DSD-1] ${x}",
  ]);
});
