import { readdirSync } from "node:fs";
import path from "node:path";

/** The repository's root folder. */
export const root = path.dirname(import.meta.dirname);

const skipped = new Set(["node_modules", "dist", ".git", ".cache", ".muster", "results"]);

/** All files below `folder` (relative to the root, `/`-separated paths), sorted; installed and generated folders are left out. */
export function filesBelow(folder: string): string[] {
  const found: string[] = [];
  const visit = (relative: string) => {
    for (const entry of readdirSync(path.join(root, relative), { withFileTypes: true })) {
      const inner = relative === "." ? entry.name : `${relative}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name)) visit(inner);
      } else if (entry.isFile()) found.push(inner);
    }
  };
  try {
    visit(folder);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  return found.toSorted();
}
