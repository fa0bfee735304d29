import { closeSync, openSync, readFileSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { busy, systemCode } from "./errors.ts";

const claimPrefix = "owner-";
const withdrawalMs = 1000;
const lookMs = 5;

/**
 * The exclusive use of a directory by one process. Node has no file locks, so processes *claim*: each creates a file
 * whose name says who it is (when, pid, start of the process), then reads the directory. Every claim was made before its
 * reading, so of two claims at least one process sees both; only who sees no other claim of a live process owns the
 * directory. A dead process cannot come back under the same pid and start time, so its claims are removed by whoever
 * sees them, and no removal can ever hit a live claim. When two start together the earlier claim stays, the later withdraws.
 */
export class Ownership {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Refuses with `storage/busy` when a live process owns the directory; creates nothing. */
  static refuseIfOwned(directory: string): void {
    const owner = liveClaims(directory)[0];
    if (owner !== undefined) throw busy(directory, describe(owner));
  }

  /** Rejects with `storage/busy`; a crashed owner's claim is taken over. */
  static async claim(directory: string): Promise<Ownership> {
    Ownership.refuseIfOwned(directory);
    const name = claimName();
    const ownership = new Ownership(join(directory, name));
    const file = openSync(ownership.#path, "wx", 0o600);
    writeSync(file, `process ${process.pid} uses this directory\n`);
    closeSync(file);
    for (let waitedMs = 0; ; waitedMs += lookMs) {
      const others = liveClaims(directory).filter((other) => other !== name);
      const first = others[0];
      if (first === undefined) break;
      if (first < name || waitedMs >= withdrawalMs) {
        ownership.release();
        throw busy(directory, describe(first));
      }
      await pause(lookMs);
    }
    for (const stale of claims(directory)) if (stale !== name && !isLive(stale)) rmSync(join(directory, stale), { force: true });
    return ownership;
  }

  /** Whether a name in the directory is one of ours. */
  static isClaim(name: string): boolean {
    return name.startsWith(claimPrefix);
  }

  release(): void {
    rmSync(this.#path, { force: true });
  }
}

function claims(directory: string): string[] {
  return readdirSync(directory).filter(Ownership.isClaim).sort();
}

function liveClaims(directory: string): string[] {
  return claims(directory).filter(isLive);
}

/** Monotonic time orders claims of one boot; claims of earlier boots are dead anyway. */
function claimName(): string {
  const atNs = process.hrtime.bigint().toString().padStart(20, "0");
  return `${claimPrefix}${atNs}-${process.pid}-${processStart(process.pid) ?? "unknown"}`;
}

function isLive(claim: string): boolean {
  const match = /^owner-\d+-(\d+)-(\w+)$/.exec(claim);
  if (match === null) return false;
  const pid = Number(match[1]);
  const start = processStart(pid);
  if (start !== undefined) return start === match[2];
  return match[2] === "unknown" && answersSignals(pid);
}

/** Boot and start time of a live process where the system tells them (Linux); they make a reused pid harmless. */
function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the program may contain anything, so fields are counted from behind its closing bracket.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8);
    return ticks === undefined ? undefined : `${boot}_${ticks}`;
  } catch {
    return undefined;
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

function describe(claim: string): string {
  return `process ${claim.split("-")[2] ?? "?"}`;
}
