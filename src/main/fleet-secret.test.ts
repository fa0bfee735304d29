import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SystemRandom } from "../kernel/index.ts";
import { fleetSecret, secretFile } from "./fleet-secret.ts";

const folder = mkdtempSync(join(tmpdir(), "muster-secret-"));
after(() => rmSync(folder, { recursive: true }));
const random = new SystemRandom();

test("a directory makes its secret once, for its owner alone, and finds it again", () => {
  const made = fleetSecret(undefined, folder, random);
  assert.match(made.hex, /^[0-9a-f]{64}$/);
  made.keep();
  assert.equal(statSync(join(folder, secretFile)).mode & 0o777, 0o600);
  assert.equal(fleetSecret(undefined, folder, random).hex, made.hex);
});

test("a file that was named goes before the data folder, whatever text it holds", () => {
  const file = join(folder, "own");
  writeFileSync(file, "correct horse battery staple\n");
  const { hex } = fleetSecret(file, folder, random);
  assert.match(hex, /^[0-9a-f]{64}$/);
  assert.equal(fleetSecret(file, undefined, random).hex, hex);
});

test("a missing or a short secret is refused with the command that writes one", () => {
  const short = join(folder, "short");
  writeFileSync(short, "abc");
  for (const file of [short, join(folder, "nowhere")])
    assert.throws(() => fleetSecret(file, folder, random), { code: "main/bad-secret", next: /urandom/ });
});
