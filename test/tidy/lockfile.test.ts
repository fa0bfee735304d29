import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { completeLock, lockFiles, parseLock } from "../../scripts/lockfile.ts";
import { root } from "../../scripts/repository.ts";

for (const file of lockFiles)
  test(`${file} is one that npm ci accepts`, () => {
    assert.deepEqual(completeLock(parseLock(readFileSync(path.join(root, file), "utf8"))).added, []);
  });

test("an optional package for another system that the lock leaves out gets an entry with its system, processor and C library", () => {
  const tool = {
    version: "1.0.0",
    dev: true,
    optionalDependencies: { "@t/linux-x64-musl": "1.0.0", "@t/win32-arm64": "1.0.0", "@t/darwin-x64": "1.0.0", fsevents: "~2.3.0" },
  };
  const darwin = { version: "1.0.0", integrity: "sha512-x", dev: true, optional: true };
  const { lock, added } = completeLock({ packages: { "": {}, "node_modules/@t/darwin-x64": darwin, "node_modules/tool": tool } });
  assert.deepEqual(added, ["@t/linux-x64-musl", "@t/win32-arm64"]);
  assert.deepEqual(lock.packages["node_modules/@t/linux-x64-musl"], {
    version: "1.0.0",
    cpu: ["x64"],
    dev: true,
    libc: ["musl"],
    optional: true,
    os: ["linux"],
  });
  assert.deepEqual(lock.packages["node_modules/@t/win32-arm64"], {
    version: "1.0.0",
    cpu: ["arm64"],
    dev: true,
    optional: true,
    os: ["win32"],
  });
  assert.deepEqual(lock.packages["node_modules/@t/darwin-x64"], darwin);
});
