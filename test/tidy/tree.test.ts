import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { filesBelow, root } from "../../scripts/repository.ts";

const textFile = /\.(ts|mjs|js|json|md|yaml|yml|sh)$/;
const sources = ["src", "test", "examples", "bench", "scripts", "bin"].flatMap(filesBelow);
const texts = [
  ...sources,
  ...filesBelow("docs"),
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "package.json",
  "package-lock.json",
]
  .filter((file) => textFile.test(file) && !file.startsWith("test/tidy/"))
  .flatMap((file) => {
    try {
      return [{ file, lines: readFileSync(path.join(root, file), "utf8").split("\n") }];
    } catch {
      return [];
    }
  });

/** Every line that matches, as `file:line`. */
function places(pattern: RegExp, files = texts): string[] {
  return files.flatMap(({ file, lines }) =>
    lines.flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim().slice(0, 80)}`] : [])),
  );
}

/** Files that may be longer than the rest, each with the length it has; a ratchet that only goes down. */
const longFiles: Readonly<Record<string, number>> = {};
const linesMax = 400;

test("no source file outgrows 400 lines without being on the list, and the list only shrinks", () => {
  const long = texts
    .filter(({ file }) => file.endsWith(".ts"))
    .filter(({ file, lines }) => lines.length - 1 > (longFiles[file] ?? linesMax))
    .map(({ file, lines }) => `${file} has ${lines.length - 1} lines: is there a second concept inside?`);
  const shrunk = Object.entries(longFiles).flatMap(([file, allowed]) => {
    const lines = texts.find((one) => one.file === file)?.lines.length ?? 1;
    return lines - 1 < allowed ? [`${file} has shrunk to ${lines - 1} lines: write that down, or take it off the list`] : [];
  });
  assert.deepEqual([...long, ...shrunk], []);
});

test("nothing is left for later in the sources", () => {
  const sourceFiles = texts.filter(({ file }) => !file.endsWith(".md") && !file.endsWith(".json"));
  assert.deepEqual(places(/\b(TODO|FIXME|XXX)\b/, sourceFiles), []);
  assert.deepEqual(places(/\b(test|it|describe|suite)\.only\(|\bonly: true\b/, sourceFiles), []);
  assert.deepEqual(places(/@ts-ignore|@ts-nocheck|oxlint-disable|eslint-disable|biome-ignore/, sourceFiles), []);
});

test("nothing names a place on somebody's machine or a host of a registry", () => {
  assert.deepEqual(places(/(?<![\w.])\/(work|home|root|Users|tmp)\/[\w.]/), []);
  assert.deepEqual(places(/"resolved": "/), []);
  assert.deepEqual(places(/registry\.npmjs|deb\.debian\.org/), []);
});

test("every test file has a test", () => {
  const empty = texts.filter(
    ({ file, lines }) => file.endsWith(".test.ts") && !lines.some((line) => /\b(test|it|describe|suite|\w+Conformance)\(/.test(line)),
  );
  assert.deepEqual(
    empty.map(({ file }) => file),
    [],
  );
});
