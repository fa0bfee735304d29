import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { codesIn, codesOfSources, errorFindings, errorsFile, parseErrorRows, renderErrors } from "../../scripts/errors.ts";
import { root } from "../../scripts/repository.ts";

test("docs/errors.md names exactly the codes that the sources raise, each with a description", () => {
  const written = parseErrorRows(readFileSync(path.join(root, errorsFile), "utf8"));
  assert.deepEqual(errorFindings(codesOfSources(), written), []);
});

const rooms = new Set(["roll", "link"]);

test("a code is found with its message and its next step; other literals with a slash are not codes", () => {
  const source = 'throw new MusterError("roll/gone", `${host} is gone`, { next: "ask again" }); type = "text/plain"; from "roll/Node";';
  assert.deepEqual(codesIn(source, rooms), [{ code: "roll/gone", happened: "… is gone", next: "ask again" }]);
});

test("what people wrote stays, a new code gets a row, a code that is gone loses it", () => {
  const row = (code: string, happened: string) => [code, { code, happened, next: "" }] as const;
  const page = renderErrors(
    new Map([row("roll/a", "from the source"), row("roll/b", "new")]),
    new Map([row("roll/a", "by hand"), row("roll/c", "gone")]),
  );
  assert.deepEqual(
    [...parseErrorRows(page).values()],
    [
      { code: "roll/a", happened: "by hand", next: "" },
      { code: "roll/b", happened: "new", next: "" },
    ],
  );
});

test("differences show in both directions", () => {
  const row = (code: string, happened: string) => [code, { code, happened, next: "" }] as const;
  const findings = errorFindings(new Map([row("roll/a", "a"), row("roll/d", "d")]), new Map([row("roll/b", "b"), row("roll/d", "")]));
  assert.equal(findings.length, 3);
});
