import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { isRecord } from "../src/kernel/index.ts";
import { root } from "./repository.ts";

/**
 * `npm ci` refuses a lock that names no entry for an optional dependency, even for one that only fits other systems. A
 * registry that does not carry those makes `npm install` write such a lock. `completeLock` adds the entries: version,
 * system, processor and C library, read from the package's name; npm fetches them only on the systems they fit.
 *
 * `node scripts/lockfile.ts --write` mends `package-lock.json` and `bench/package-lock.json` after an `npm install`.
 */
type Lock = Record<string, unknown> & { packages: Record<string, Record<string, unknown>> };

const systems = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const processors = ["arm64", "arm", "ia32", "ppc64", "riscv64", "s390x", "x64"];

export function completeLock(lock: Lock): { readonly lock: Lock; readonly added: readonly string[] } {
  const packages = { ...lock.packages };
  const added: string[] = [];
  for (const [place, entry] of Object.entries(lock.packages)) {
    const optional = entry["optionalDependencies"];
    if (!isRecord(optional)) continue;
    for (const [name, version] of Object.entries(optional)) {
      if (`${place}/node_modules/${name}` in packages || `node_modules/${name}` in packages) continue;
      const words = name.split(/[/-]/);
      const system = systems.find((word) => words.includes(word));
      const processor = processors.find((word) => words.includes(word));
      if (system === undefined || processor === undefined || typeof version !== "string" || !/^\d/.test(version)) continue;
      const libc = system !== "linux" ? {} : { libc: [words.includes("musl") || words.includes("musleabihf") ? "musl" : "glibc"] };
      const dev = entry["dev"] === true ? { dev: true } : {};
      packages[`node_modules/${name}`] = { version, cpu: [processor], ...dev, ...libc, optional: true, os: [system] };
      added.push(name);
    }
  }
  const { "": self = {}, ...others } = packages;
  const ordered = Object.fromEntries(Object.entries(others).toSorted(([a], [b]) => a.localeCompare(b, "en")));
  return { lock: { ...lock, packages: { "": self, ...ordered } }, added };
}

export function parseLock(text: string): Lock {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || !isRecord(value["packages"])) throw new Error("this is not a package lock of version 3");
  return value as Lock;
}

export const lockFiles = ["package-lock.json", "bench/package-lock.json"];

function main(): number {
  const write = process.argv.includes("--write");
  let incomplete = 0;
  for (const name of lockFiles) {
    const file = path.join(root, name);
    const { lock, added } = completeLock(parseLock(readFileSync(file, "utf8")));
    if (added.length === 0) continue;
    incomplete++;
    console.log(`${name}: ${write ? "added" : "lacks"} ${added.length} entries for other systems`);
    if (write) writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
  }
  if (incomplete > 0 && !write) console.log("Next: node scripts/with-node.mjs scripts/lockfile.ts --write");
  return incomplete > 0 && !write ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) process.exitCode = main();
