import { existsSync } from "node:fs";
import path from "node:path";
import type * as muster from "../src/index.ts";
import { pathToFileURL } from "node:url";
import { runPackageProgram, runProgram } from "../scripts/programs.ts";
import { root } from "../scripts/repository.ts";
import type { BenchContext } from "./bench.ts";
import { compiledCode } from "./cli-fleet.ts";

/** What `@musterhq/muster` exports. */
export type Muster = typeof muster;

/**
 * The library as the package ships it, compiled to JavaScript, so that programs of a bench are as large and start as fast as those
 * of users; types stripped at run time cost 30 MB a process. Gives the address of its door for `loadMuster` in child processes.
 */
export async function builtPackage(context: BenchContext): Promise<string> {
  const folder = path.join(root, ".cache/built");
  context.log("building the library …");
  const { code, stdout } = await runPackageProgram(
    "typescript",
    ["-p", "tsconfig.build.json", "--outDir", folder, "--declaration", "false"],
    "tsc",
  );
  const door = path.join(folder, "index.js");
  if (!existsSync(door)) throw new Error(`the library cannot be built: ${stdout.slice(0, 2000)}`);
  if (code !== 0) context.log(`built, though the types are not right: ${stdout.split("\n")[0] ?? ""}`);
  const address = pathToFileURL(door).href;
  // Compiled code is kept at an orderly end only, and servers of a bench have none.
  const keep = `await import(${JSON.stringify(address)}); process.exit()`;
  await runProgram(process.execPath, ["--input-type=module", "--eval", keep], { env: { ...process.env, ...compiledCode } });
  return address;
}

export async function loadMuster(door: string): Promise<Muster> {
  return await import(door);
}
