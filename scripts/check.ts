import { readFileSync } from "node:fs";
import path from "node:path";
import { conformanceStaleness } from "./conformance.ts";
import { layerViolations } from "./layers.ts";
import { completeLock, lockFiles, parseLock } from "./lockfile.ts";
import { runPackageProgram } from "./programs.ts";
import { root } from "./repository.ts";

/** `npm run check`: everything about the sources that can be told without running them. Exactly this runs in CI. */
interface Check {
  readonly name: string;
  /** What to do when it fails. */
  readonly next: string;
  /** Resolves with the findings; none: it holds. */
  run(): Promise<readonly string[]>;
}

const linesMax = 60;
const linted = ["src", "test", "bench", "scripts", "examples", "bin"];

async function findingsOf(packageName: string, args: readonly string[], command?: string): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runPackageProgram(packageName, args, command);
  if (code === 0) return [];
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
  return lines.length > 0 ? lines : [`${packageName} ended with code ${code}`];
}

const checks: readonly Check[] = [
  {
    name: "format",
    next: "npm run format",
    run: async () => {
      const findings = await findingsOf("@biomejs/biome", ["format", "--reporter=github", "--max-diagnostics=none", "."], "biome");
      const files = findings.flatMap((line) => /file=([^,]+)/.exec(line)?.[1] ?? []);
      return files.length > 0 ? [...new Set(files)].map((file) => `${file} is not formatted`) : findings;
    },
  },
  { name: "types", next: "mend what the compiler names", run: () => findingsOf("typescript", ["-p", "tsconfig.json", "--noEmit"], "tsc") },
  {
    name: "lint",
    next: "mend what the rules name (.oxlintrc.json)",
    run: () => findingsOf("oxlint", ["--type-aware", "--format=unix", ...linted]),
  },
  {
    name: "dead code",
    next: "remove it, or name its entry in knip.json",
    run: () => findingsOf("knip", ["--no-progress", "--reporter=compact"]),
  },
  {
    name: "layers",
    next: "import downwards and through doors (scripts/layers.ts)",
    run: async () => layerViolations().map(({ from, to, reason }) => `${from} imports ${to}: ${reason}`),
  },
  { name: "conformance", next: "npm test -- --write-conformance", run: async () => conformanceStaleness() },
  {
    name: "lock files",
    next: "node scripts/with-node.mjs scripts/lockfile.ts --write",
    run: async () =>
      lockFiles.flatMap((name) => {
        const { added } = completeLock(parseLock(readFileSync(path.join(root, name), "utf8")));
        return added.length === 0 ? [] : [`${name} lacks ${added.length} entries for other systems; npm ci would refuse it`];
      }),
  },
];

async function timed(check: Check): Promise<{ readonly check: Check; readonly findings: readonly string[]; readonly seconds: number }> {
  const startMs = performance.now();
  const findings = await check.run().catch((error: unknown) => [String(error)]);
  return { check, findings, seconds: (performance.now() - startMs) / 1000 };
}

const outcomes = await Promise.all(checks.map(timed));
for (const { check, findings } of outcomes) {
  if (findings.length === 0) continue;
  console.log(`\n${check.name}:`);
  for (const line of findings.slice(0, linesMax)) console.log(`  ${line}`);
  if (findings.length > linesMax) console.log(`  … and ${findings.length - linesMax} lines more`);
  console.log(`  Next: ${check.next}`);
}
console.log("");
for (const { check, findings, seconds } of outcomes)
  console.log(`${findings.length === 0 ? "ok    " : "FAILED"}  ${check.name.padEnd(12)} ${seconds.toFixed(1)} s`);
process.exitCode = outcomes.every(({ findings }) => findings.length === 0) ? 0 : 1;
