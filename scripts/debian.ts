import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

const execute = promisify(execFile);

function isInstalled(debianPackage: string): boolean {
  const answer = spawnSync("dpkg-query", ["-W", "-f", "${Status}", debianPackage], { encoding: "utf8" });
  return answer.status === 0 && answer.stdout.includes("install ok installed");
}

/**
 * Installs Debian packages that are missing. False, with a line that says why, where that cannot be done: no apt, not
 * root, or no archive reachable. Whoever needs them goes without and says so.
 */
export async function installDebian(packages: readonly string[], log: (line: string) => void): Promise<boolean> {
  const missing = packages.filter((name) => !isInstalled(name));
  if (missing.length === 0) return true;
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    log(`goes without ${missing.join(", ")}; next: as root, apt-get install ${missing.join(" ")}`);
    return false;
  }
  log(`installing ${missing.join(", ")} …`);
  // Debian starts a service as soon as its package is installed; here nothing may run that was not asked for.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  try {
    await execute("apt-get", ["update", "-qq"], { env, timeout: 5 * 60_000 });
    await execute("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], { env, timeout: 10 * 60_000 });
    return true;
  } catch (error) {
    const cause =
      error instanceof Error
        ? (error.message.split("\n").find((line) => line.startsWith("E:")) ?? error.message.split("\n")[0])
        : String(error);
    log(`goes without ${missing.join(", ")}: ${cause}`);
    return false;
  }
}
