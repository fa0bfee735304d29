import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";
import { type TestResult, conformanceFile, writeConformance } from "./conformance.ts";
import { installDebian } from "./debian.ts";
import { filesBelow, root } from "./repository.ts";

/**
 * `npm test [-- PART …] [--write-conformance]`: runs every test, or those whose path contains one of the parts. The
 * result also goes to `.cache/test-results.json`. A green run of all tests rewrites `docs/conformance.md` when asked;
 * otherwise no tracked file changes.
 */

/** What tests use beyond Node; a test whose package is missing is skipped and says so. */
const debianPackages: readonly string[] = ["iproute2", "nftables"];

const resultsFile = path.join(root, ".cache/test-results.json");
const timeoutMs = 15 * 60_000;

/** These start whole programs and watch the time: they run one after another, everything else side by side. */
const isSerial = (file: string) => /^test\/(integration|lab|package)\//.test(file);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "write-conformance": { type: "boolean", default: false } },
});
const files = ["src", "test", "examples"]
  .flatMap(filesBelow)
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)));
if (files.length === 0) {
  console.error(`No test file's path contains ${positionals.join(" or ")}.\nNext: npm test -- PART, e.g. npm test -- src/find`);
  process.exit(2);
}
if (values["write-conformance"] && positionals.length > 0) {
  console.error("--write-conformance needs a run of all tests.\nNext: npm test -- --write-conformance");
  process.exit(2);
}
await installDebian(debianPackages, (line) => console.log(`Debian packages for tests: ${line}`));

const results: TestResult[] = [];
/** Stopped from outside, the run takes the processes of its test files with it. */
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stopped.abort());

/** The runner's closing lines ("tests 12", "pass 12", …), added up over the phases. */
const totals = new Map<string, number>();

async function* phase(names: readonly string[], concurrency: number): AsyncGenerator<unknown> {
  if (names.length === 0) return;
  for await (const event of run({
    files: names.map((name) => path.join(root, name)),
    concurrency,
    timeout: timeoutMs,
    cwd: root,
    signal: stopped.signal,
  })) {
    if (event.type === "test:diagnostic" && event.data.nesting === 0) {
      const [, name, count] = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/.exec(event.data.message) ?? [];
      if (name !== undefined) {
        totals.set(name, (totals.get(name) ?? 0) + Number(count));
        continue;
      }
    }
    if (event.type === "test:summary" && event.data.file === undefined) continue;
    if ((event.type === "test:pass" || event.type === "test:fail") && event.data.details.type !== "suite") note(event.type, event.data);
    yield event;
  }
}

function note(
  type: "test:pass" | "test:fail",
  data: { name: string; file?: string; skip?: string | boolean; todo?: string | boolean },
): void {
  const put = data.skip !== undefined || data.todo !== undefined;
  results.push({
    file: path.relative(root, data.file ?? "").replaceAll(path.sep, "/"),
    name: data.name,
    outcome: put ? "skipped" : type === "test:pass" ? "passed" : "failed",
  });
}

async function* all(): AsyncGenerator<unknown> {
  yield* phase(
    files.filter((file) => !isSerial(file)),
    2,
  );
  yield* phase(files.filter(isSerial), 1);
  for (const [name, count] of totals) yield { type: "test:diagnostic", data: { nesting: 0, message: `${name} ${count}`, level: "info" } };
}

for await (const text of Readable.from(all()).compose(new spec())) process.stdout.write(String(text));

mkdirSync(path.dirname(resultsFile), { recursive: true });
writeFileSync(
  resultsFile,
  `${JSON.stringify({ node: process.version, files: files.length, totals: Object.fromEntries(totals), results }, undefined, 1)}\n`,
);
const green =
  (totals.get("fail") ?? 0) === 0 && (totals.get("cancelled") ?? 0) === 0 && (totals.get("pass") ?? 0) > 0 && !stopped.signal.aborted;
if (green && values["write-conformance"]) {
  writeConformance(results);
  console.error(`written: ${conformanceFile}`);
}
process.exit(green ? 0 : 1);
