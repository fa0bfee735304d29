import { readFileSync } from "node:fs";
import path from "node:path";
import { filesBelow, root } from "./repository.ts";

/**
 * The rooms of `src/` and how high they lie. A room imports rooms that lie lower, and those only through their door,
 * `index.ts`; rooms of one height do not know one another. `testing/` is public and may use everything below the command
 * line; only tests, simulations and benches use it.
 */
const heights: Readonly<Record<string, number>> = {
  kernel: 0,
  wire: 1,
  tables: 1,
  transport: 1,
  storage: 2,
  link: 2,
  scone: 3,
  placement: 3,
  roll: 4,
  routes: 4,
  find: 5,
  groups: 5,
  checks: 6,
  requests: 6,
  race: 6,
  commands: 6,
  fleet: 7,
  doors: 7,
  fetch: 7,
  masters: 7,
  testing: 7.5,
  cli: 8,
  main: 9,
};

export interface Import {
  /** Paths from the root, `/`-separated. */
  readonly from: string;
  readonly to: string;
}

const importPattern = /(?:\bfrom|\bimport)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g;

export function importsOf(file: string, source: string): Import[] {
  return [...source.matchAll(importPattern)].map(([, target = ""]) => ({
    from: file,
    to: path.posix.join(path.posix.dirname(file), target),
  }));
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts") || !file.startsWith("src/");
}

/** The room of a file of `src/`; undefined for `src/index.ts` and everything outside. */
function roomOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1];
}

/** Why an import is not allowed; undefined when it is. `forTests`: the importing file serves tests only. */
export function violationOf({ from, to }: Import, forTests = isTest(from)): string | undefined {
  if (!to.startsWith("src/")) return from.startsWith("src/") && !forTests ? "sources import only sources" : undefined;
  if (from.startsWith("examples/")) return to === "src/index.ts" ? undefined : "an example uses only the public library, src/index.ts";
  const [source, target] = [roomOf(from), roomOf(to)];
  if (source !== undefined && source === target) return undefined;
  if (target === undefined) return from.startsWith("src/") ? "the public library is for users; import the room's door" : undefined;
  const height = heights[target];
  if (height === undefined) return `the room ${target} has no height yet: add it to scripts/layers.ts`;
  if (from === "src/index.ts" || from === "bin/muster.js") return undefined;
  const door = to === `src/${target}/index.ts`;
  if (target === "testing") return forTests ? undefined : "only tests, simulations and benches use testing/";
  if (!door && target !== "main") return `import the door, src/${target}/index.ts`;
  // A test may put its room together with real ones above it, instead of imitating them.
  if (source === undefined || forTests) return undefined;
  const own = heights[source];
  if (own === undefined) return `the room ${source} has no height yet: add it to scripts/layers.ts`;
  if (own < height) return `${source} (${own}) lies below ${target} (${height})`;
  if (own === height) return `${source} and ${target} lie on one height (${own})`;
  return undefined;
}

export interface Violation extends Import {
  readonly reason: string;
}

export function layerViolations(): Violation[] {
  const files = ["src", "test", "bench", "examples"].flatMap(filesBelow).filter((file) => /\.(ts|mjs|js)$/.test(file));
  const imports = files.flatMap((file) => importsOf(file, readFileSync(path.join(root, file), "utf8")));
  // What tests share may use testing/ too: a file beside them that nobody else imports.
  const importers = Map.groupBy(imports, ({ to }) => to);
  const servesTests = (file: string) => isTest(file) || (importers.get(file)?.every(({ from }) => isTest(from)) ?? false);
  return imports.flatMap((one) => {
    const reason = violationOf(one, servesTests(one.from));
    return reason === undefined ? [] : [{ ...one, reason }];
  });
}
