import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { packageProgram, runProgram } from "../../scripts/programs.ts";
import { root } from "../../scripts/repository.ts";

async function lint(file: string, source: string): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), "muster-lint-"));
  try {
    copyFileSync(path.join(root, ".oxlintrc.json"), path.join(folder, ".oxlintrc.json"));
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), source);
    const { stdout } = await runProgram(process.execPath, [packageProgram("oxlint"), "--format=unix", "src"], { cwd: folder });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const banned: Readonly<Record<string, string>> = {
  "the wall clock": "export const now = () => Date.now();",
  "the monotonic clock": "export const now = () => performance.now();",
  "a timer": "export const later = (run: () => void) => setTimeout(run, 10);",
  "an interval": "export const again = (run: () => void) => setInterval(run, 10);",
  "a turn of the loop": "export const turn = (run: () => void) => setImmediate(run);",
  "randomness for jitter": "export const dice = () => Math.random();",
  "randomness for identities": 'import { randomUUID } from "node:crypto";\nexport const id = () => randomUUID();',
  "the environment": "export const agent = () => process.env.MUSTER_AGENT;",
};

for (const [what, source] of Object.entries(banned))
  test(`a room may not use ${what} by itself; main may`, async () => {
    assert.match(await lint("src/roll/x.ts", source), /no-restricted/);
    assert.doesNotMatch(await lint("src/main/x.ts", source), /no-restricted/);
  });
