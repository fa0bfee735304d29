import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { filesBelow, root } from "./repository.ts";

/**
 * `docs/errors.md` is the registry of error codes: each code that the sources name, what happened and what to do.
 * `node scripts/errors.ts --write` adds the rows of new codes, with the text of the source as a first description, drops the
 * rows of codes that are gone, and keeps what people wrote.
 */
export const errorsFile = "docs/errors.md";

export interface ErrorRow {
  readonly code: string;
  readonly happened: string;
  readonly next: string;
}

const literal = /"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`/y;

/** The text of a string literal at `position`, with "…" for what is filled in at run time; empty when there is none. */
function literalAt(source: string, position: number): string {
  literal.lastIndex = position;
  const match = literal.exec(source);
  const text = match?.[1] ?? match?.[2] ?? "";
  return (text.includes("\n") ? "" : text)
    .replaceAll(/\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}/g, "…")
    .replaceAll('\\"', '"')
    .replaceAll("|", "/");
}

/** All codes of a source file: literals `"room/what"` whose first word is one of the rooms. */
export function codesIn(source: string, rooms: ReadonlySet<string>): ErrorRow[] {
  const matches = [...source.matchAll(/"([a-z]+)\/[a-z0-9]+(?:-[a-z0-9]+)*"/g)].filter(([, room = ""]) => rooms.has(room));
  return matches.map((match, index) => {
    const end = match.index + match[0].length;
    const rest = source.slice(end, Math.min(end + 900, matches[index + 1]?.index ?? source.length));
    const message = /^,\s*(?=["`])/.exec(rest);
    const next = /\bnext:\s*(?=["`])/.exec(rest);
    return {
      code: match[0].slice(1, -1),
      happened: message === null ? "" : literalAt(source, end + message[0].length),
      next: next === null ? "" : literalAt(source, end + next.index + next[0].length),
    };
  });
}

export function codesOfSources(): Map<string, ErrorRow> {
  const files = filesBelow("src").filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));
  const rooms = new Set(files.flatMap((file) => /^src\/([^/]+)\//.exec(file)?.[1] ?? []));
  const found = new Map<string, ErrorRow>();
  // The simulated world raises codes of the real one; the real one's words come first.
  const simulated = (file: string) => file.startsWith("src/testing/");
  for (const file of [...files.filter((one) => !simulated(one)), ...files.filter(simulated)])
    for (const row of codesIn(readFileSync(path.join(root, file), "utf8"), rooms)) {
      const known = found.get(row.code);
      found.set(row.code, { code: row.code, happened: known?.happened || row.happened, next: known?.next || row.next });
    }
  return found;
}

export function parseErrorRows(text: string): Map<string, ErrorRow> {
  const rows = [...text.matchAll(/^\| `([a-z]+\/[a-z0-9-]+)` \| (.*?) \|(?: (.*?))? \|$/gm)];
  return new Map(rows.map(([, code = "", happened = "", next = ""]) => [code, { code, happened, next }]));
}

export function renderErrors(codes: ReadonlyMap<string, ErrorRow>, written: ReadonlyMap<string, ErrorRow>): string {
  const rows = [...codes.keys()].toSorted().map((code) => written.get(code) ?? codes.get(code));
  const lines = rows.map((row) => (row === undefined ? "" : `| \`${row.code}\` | ${row.happened} | ${row.next} |`));
  return `# Error codes

Every error that Muster raises carries a stable code, an effect ("none": it did not happen, "maybe": it may have, "done": it
has) and, where there is one, the next step. Programs look at the code and the effect, never at the message. "…" stands for
what the message fills in. \`node scripts/with-node.mjs scripts/errors.ts --write\` keeps the rows equal to the sources; the
descriptions are edited by hand.

| code | what happened | what to do |
|---|---|---|
${lines.join("\n")}
`;
}

function main(): number {
  const file = path.join(root, errorsFile);
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const [codes, written] = [codesOfSources(), parseErrorRows(text)];
  if (process.argv.includes("--write")) {
    writeFileSync(file, renderErrors(codes, written));
    const empty = [...parseErrorRows(renderErrors(codes, written)).values()].filter(({ happened }) => happened === "");
    console.log(
      `${errorsFile}: ${codes.size} codes${empty.length > 0 ? `, without a description: ${empty.map(({ code }) => code).join(", ")}` : ""}`,
    );
    return 0;
  }
  const findings = errorFindings(codes, written);
  for (const line of findings) console.log(line);
  return findings.length > 0 ? 1 : 0;
}

/** Differences between the registry and the sources, in both directions. */
export function errorFindings(codes: ReadonlyMap<string, ErrorRow>, written: ReadonlyMap<string, ErrorRow>): string[] {
  return [
    ...[...codes.keys()].filter((code) => !written.has(code)).map((code) => `${code} is raised and not in ${errorsFile}`),
    ...[...written.keys()].filter((code) => !codes.has(code)).map((code) => `${code} is in ${errorsFile} and never raised`),
    ...[...written.values()]
      .filter(({ happened }) => happened.trim() === "")
      .map(({ code }) => `${code} has no description in ${errorsFile}`),
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
