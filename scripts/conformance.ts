import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { isRecord } from "../src/kernel/index.ts";
import { filesBelow, root } from "./repository.ts";
import { idsOf, requirements } from "./requirement-ids.ts";

/**
 * `docs/conformance.md`: which test proves which requirement. It is written from the results of a green run of all tests
 * (`npm test -- --write-conformance`). An id that is only partly met stands, with what is missing, in
 * `docs/conformance-partly.json`, which wins over tests: an id is proven when the whole statement is.
 */
export interface TestResult {
  /** Path from the root. */
  readonly file: string;
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

export interface Row {
  readonly id: string;
  readonly state: "proven" | "partly" | "missing";
  /** The test that proves it, or what is missing. */
  readonly text: string;
}

export type Partly = Readonly<Record<string, string>>;

export const conformanceFile = "docs/conformance.md";
const partlyFile = "docs/conformance-partly.json";

export function readPartly(): Partly {
  const file = path.join(root, partlyFile);
  if (!existsSync(file)) return {};
  const value: unknown = JSON.parse(readFileSync(file, "utf8"));
  if (!isRecord(value)) throw new Error(`${partlyFile} is not an object of id: what is missing`);
  return Object.fromEntries(
    Object.entries(value).map(([id, text]) => {
      if (!(id in requirements)) throw new Error(`${partlyFile} names "${id}", which is no requirement`);
      if (typeof text !== "string" || text.trim() === "" || text.includes("|"))
        throw new Error(`${partlyFile}: ${id} needs a text without "|"`);
      return [id, text];
    }),
  );
}

/** Tests of whole programs say more than tests of one room, so they come first. */
function byWeight(a: TestResult, b: TestResult): number {
  const weight = (file: string) => (file.startsWith("test/") ? 0 : 1);
  return weight(a.file) - weight(b.file) || (a.file < b.file ? -1 : a.file > b.file ? 1 : 0);
}

export function rowsOf(results: readonly TestResult[], partly: Partly): Row[] {
  const proofs = results.filter(({ outcome }) => outcome === "passed").toSorted(byWeight);
  return Object.keys(requirements).map((id) => {
    const missing = partly[id];
    if (missing !== undefined) return { id, state: "partly", text: missing };
    const proof = proofs.find(({ name }) => idsOf(name).includes(id));
    if (proof === undefined) return { id, state: "missing", text: "" };
    return { id, state: "proven", text: `${proof.file} : "${proof.name.replaceAll("|", "/")}"` };
  });
}

export function render(rows: readonly Row[]): string {
  const count = (state: Row["state"]) => rows.filter((row) => row.state === state).length;
  return `# Conformance

Which test proves which requirement: ${count("proven")} proven, ${count("partly")} partly, ${count("missing")} missing. Written by
\`npm test -- --write-conformance\` from a green run of all tests; not edited by hand. What the ids say stands below the table.

| id | state | proof, or what is missing |
|---|---|---|
${rows.map(({ id, state, text }) => (text === "" ? `| ${id} | ${state} | |` : `| ${id} | ${state} | ${text} |`)).join("\n")}

${Object.entries(requirements)
  .map(([id, statement]) => `- ${id}: ${statement}`)
  .join("\n")}
`;
}

export function parseRows(text: string): Row[] {
  return [...text.matchAll(/^\| ([A-Z]{3}-\d+) \| (proven|partly|missing) \|(?: (.*))? \|$/gm)].map(([, id = "", state, rest = ""]) => ({
    id,
    state: state === "proven" || state === "partly" ? state : "missing",
    text: rest,
  }));
}

/**
 * Titles of tests, as far as the source shows them, and texts that begin with an id, which titles are put together from: of those at least
 * the ids are known.
 */
export function titlesOf(source: string): string[] {
  const titles = source.matchAll(/\b(?:test|it)\(\s*(["'`])((?:(?!\1)[^\\]|\\.)*)\1/g);
  const parts = source.matchAll(/(?<!\b(?:test|it)\(\s*)(["'`])(\[[A-Z]{3}-\d+\](?:(?!\1)[^\\\n]|\\.)*)\1/g);
  return [...titles, ...parts].map(([, , title = ""]) => title.replaceAll('\\"', '"'));
}

/** Differences between the page and what the sources claim; empty when it is up to date. */
export function staleness(
  page: readonly Row[],
  claims: readonly { readonly file: string; readonly title: string }[],
  partly: Partly,
): string[] {
  const findings: string[] = [];
  for (const { file, title } of claims)
    for (const id of idsOf(title)) if (!(id in requirements)) findings.push(`${file} claims [${id}], which is no requirement`);
  for (const id of Object.keys(requirements)) {
    const row = page.find((one) => one.id === id);
    if (row === undefined) {
      findings.push(`${id} has no row`);
      continue;
    }
    const claiming = claims.filter(({ title }) => idsOf(title).includes(id));
    const expected = id in partly ? "partly" : claiming.length > 0 ? "proven" : "missing";
    if (row.state !== expected) findings.push(`${id} is "${row.state}" on the page, "${expected}" by the sources`);
    else if (row.state === "partly" && row.text !== partly[id]) findings.push(`${id}: what is missing has changed`);
    else if (row.state === "proven" && !claiming.some(({ file }) => row.text.startsWith(`${file} : "`)))
      findings.push(`${id}: the test it names is gone: ${row.text}`);
  }
  return findings;
}

export function conformanceStaleness(): string[] {
  const claims = ["src", "test", "examples"]
    .flatMap(filesBelow)
    .filter((file) => file.endsWith(".test.ts") || file.startsWith("src/testing/"))
    // Its titles are made up.
    .filter((file) => file !== "test/tidy/conformance.test.ts")
    .flatMap((file) => titlesOf(readFileSync(path.join(root, file), "utf8")).map((title) => ({ file, title })));
  const page = path.join(root, conformanceFile);
  if (!existsSync(page)) return [`${conformanceFile} does not exist`];
  return staleness(parseRows(readFileSync(page, "utf8")), claims, readPartly());
}

export function writeConformance(results: readonly TestResult[]): void {
  writeFileSync(path.join(root, conformanceFile), render(rowsOf(results, readPartly())));
}
