import assert from "node:assert/strict";
import { test } from "node:test";
import { importsOf, layerViolations, violationOf } from "../../scripts/layers.ts";

test("imports go down the layers only, and through doors", () => {
  assert.deepEqual(layerViolations(), []);
});

test("imports of every form are found", () => {
  const source = `import { a } from "../kernel/index.ts";\nexport * from "./b.ts";\nimport "./c.ts";\nconst d = await import("../wire/index.ts");\nimport x from "node:fs";`;
  assert.deepEqual(
    importsOf("src/roll/node.ts", source).map(({ to }) => to),
    ["src/kernel/index.ts", "src/roll/b.ts", "src/roll/c.ts", "src/wire/index.ts"],
  );
});

const cases: readonly (readonly [from: string, to: string, reason: RegExp | undefined])[] = [
  ["src/roll/node.ts", "src/kernel/index.ts", undefined],
  ["src/roll/node.ts", "src/roll/rules.ts", undefined],
  ["src/main/muster.ts", "src/cli/index.ts", undefined],
  ["src/index.ts", "src/main/connect.ts", undefined],
  ["src/roll/node.test.ts", "src/testing/manual-clock.ts", undefined],
  ["src/checks/check.test.ts", "src/fleet/index.ts", undefined],
  ["src/checks/check.test.ts", "src/fleet/why.ts", /import the door/],
  ["test/simulation/run.ts", "src/testing/index.ts", undefined],
  ["examples/filestore/gateway.ts", "src/index.ts", undefined],
  ["bench/link/index.ts", "src/link/index.ts", undefined],
  ["src/kernel/clock.ts", "src/roll/index.ts", /kernel .* lies below roll/],
  ["src/wire/frame.ts", "src/tables/index.ts", /one height/],
  ["src/roll/node.ts", "src/kernel/clock.ts", /import the door/],
  ["src/roll/node.ts", "src/testing/index.ts", /only tests/],
  ["src/roll/node.ts", "src/index.ts", /public library is for users/],
  ["src/cli/run-cli.ts", "src/main/connect.ts", /lies below main/],
  ["src/roll/node.ts", "test/integration/x.ts", /sources import only sources/],
  ["examples/filestore/gateway.ts", "src/roll/index.ts", /only the public library/],
  ["bench/link/index.ts", "src/link/options.ts", /import the door/],
  ["src/nowhere/x.ts", "src/kernel/index.ts", /no height/],
];

for (const [from, to, reason] of cases)
  test(`${from} ${reason === undefined ? "may" : "may not"} import ${to}`, () => {
    const found = violationOf({ from, to });
    if (reason === undefined) assert.equal(found, undefined);
    else assert.match(found ?? "", reason);
  });
