import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runPackageProgram } from "./programs.ts";
import { filesBelow, root } from "./repository.ts";

/** `npm run build`: the sources as ES modules with type declarations in `dist/`, which is what the package ships. */
rmSync(path.join(root, "dist"), { recursive: true, force: true });
const built = await runPackageProgram("typescript", ["-p", "tsconfig.build.json"], "tsc");
process.stdout.write(built.stdout);
process.stderr.write(built.stderr);
if (built.code !== 0) process.exit(built.code);

// The compiler rewrites `.ts` in imports of the emitted JavaScript but leaves it in the declarations.
const dist = path.join(root, "dist");
for (const name of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = path.join(dist, name);
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(/((?:from |import\()"\.{1,2}\/[^"]*)\.ts"/g, '$1.js"'));
}

// Nor does it rewrite the URL of a worker; such a file would only be missed at run time.
const stale = filesBelow("src")
  .filter((file) => !file.endsWith(".test.ts"))
  .filter((file) => /new URL\("\.[^"]*\.ts", import\.meta\.url\)/.test(readFileSync(path.join(root, file), "utf8")));
if (stale.length > 0) {
  console.error(`These files name a .ts file by URL, which does not exist in the package: ${stale.join(", ")}`);
  console.error('Next: choose the ending from import.meta.url.endsWith(".ts")');
  process.exit(1);
}
console.log("built dist/");
