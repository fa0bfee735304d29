import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { namespaceName, newRunId } from "./run-id.ts";

/** Debian packages that a run in namespaces needs; slow connections need a C compiler too. */
export const debianPackages: readonly string[] = ["iproute2", "nftables"];
export const debianPackagesForSlow: readonly string[] = ["gcc", "libc6-dev"];

export interface Lack {
  readonly what: string;
  readonly next: string;
}

/** What keeps this machine from running fleets in namespaces; undefined: nothing. */
export function lackOfNamespaces(): Lack | undefined {
  if (process.platform !== "linux")
    return { what: "network namespaces are a thing of Linux", next: "run the scenario simulated: --simulated" };
  if (process.getuid?.() !== 0) return { what: "making network namespaces needs root", next: "run it as root, or simulated: --simulated" };
  const missing = ["ip", "nft", "setpriv"].filter((name) => spawnSync(name, ["--version"]).error !== undefined);
  if (missing.length > 0)
    return {
      what: `${missing.join(" and ")} is not installed`,
      next: `apt-get install ${debianPackages.join(" ")}, or run it simulated: --simulated`,
    };
  const name = namespaceName(newRunId(), "try");
  const made = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  if (made.status !== 0)
    return { what: `a network namespace cannot be made here: ${made.stderr.trim()}`, next: "run it simulated: --simulated" };
  spawnSync("ip", ["netns", "delete", name]);
  return undefined;
}

/** What keeps it from making slow connections. */
export function lackOfCables(): Lack | undefined {
  if (!existsSync("/dev/net/tun")) return { what: "there is no /dev/net/tun", next: "run it simulated: --simulated" };
  const hasCompiler = ["cc", "gcc", "clang"].some((name) => spawnSync(name, ["--version"]).error === undefined);
  return hasCompiler
    ? undefined
    : { what: "there is no C compiler", next: `apt-get install ${debianPackagesForSlow.join(" ")}, or run it simulated: --simulated` };
}
