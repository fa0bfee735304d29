import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { filesBelow, root } from "./repository.ts";

/**
 * Examples that are run. A fenced block whose info string is `ts run` or `sh run` is executed by
 * `test/integration/docs.test.ts`: the blocks of one page in their order, in one folder, beside a directory and the agent of
 * HOST1 (`MUSTER_AGENT` is set, `muster` is a command). Other blocks are for reading only.
 */
export interface RunnableBlock {
  /** Page and line, for messages. */
  readonly place: string;
  readonly language: "ts" | "sh";
  readonly code: string;
}

export function runnableBlocks(page: string, markdown: string): RunnableBlock[] {
  return [...markdown.matchAll(/^```(ts|sh) run *\n([\s\S]*?)^```$/gm)].map((match) => ({
    place: `${page}:${markdown.slice(0, match.index).split("\n").length}`,
    language: match[1] === "ts" ? "ts" : "sh",
    code: match[2] ?? "",
  }));
}

const library: Readonly<Record<string, string>> = {
  "@musterhq/muster": "src/index.ts",
  "@musterhq/muster/testing": "src/testing/index.ts",
};

/** A TypeScript block as a file that can stand anywhere: the package's name stands for the sources of this clone. */
export function blockSource(code: string): string {
  return code.replaceAll(/"(@musterhq\/muster(?:\/testing)?)"/g, (name, specifier: string) => {
    const source = library[specifier];
    return source === undefined ? name : JSON.stringify(pathToFileURL(path.join(root, source)).href);
  });
}

/** Every page with runnable blocks: the root's, those of `docs/` and the examples' own. */
export function pagesToRun(): { readonly page: string; readonly blocks: readonly RunnableBlock[] }[] {
  const pages = [
    "README.md",
    "ARCHITECTURE.md",
    ...[...filesBelow("docs"), ...filesBelow("examples")].filter((file) => file.endsWith(".md")),
  ];
  return pages
    .filter((page) => existsSync(path.join(root, page)))
    .map((page) => ({ page, blocks: runnableBlocks(page, readFileSync(path.join(root, page), "utf8")) }))
    .filter(({ blocks }) => blocks.length > 0);
}
