import { readFileSync } from "node:fs";
import { constants } from "node:os";
import type { ProcessProbe } from "../roll/index.ts";

/** `PF_EXITING`: the process has begun to end; its sockets close before it leaves the process table. */
const exitingFlag = 0x4;

interface ProcessStat {
  readonly state: string;
  readonly flags: number;
  readonly started: string;
  /** As waitpid reports it: the signal in the low seven bits, the exit code above eight. */
  readonly exitStatus: number;
}

/** Fields of /proc/PID/stat (proc(5)): 3 state, 9 flags, 22 start time in clock ticks since boot, 52 exit status. */
function readStat(pid: number | "self"): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", flags: Number(fields[6]), started: fields[19] ?? "", exitStatus: Number(fields[49] ?? 0) };
  } catch {
    // No such process, or no /proc on this system: the caller distinguishes by its own entry.
    return undefined;
  }
}

const own = readStat("self");

/** This process as it tells its parent: the start time tells it from a later process with the same number. */
export function ownProcess(): { readonly pid: number; readonly started: string } {
  return { pid: process.pid, started: own?.started ?? "" };
}

/** Looks into /proc where there is one, else asks by signal 0. */
export class SystemProcessProbe implements ProcessProbe {
  isGone(pid: number, started: string): boolean {
    if (own === undefined) return !answersSignal(pid);
    const stat = readStat(pid);
    if (stat === undefined) return true;
    return stat.state === "Z" || stat.state === "X" || (stat.flags & exitingFlag) !== 0 || (started !== "" && stat.started !== started);
  }

  describe(pid: number, started: string): string | undefined {
    const stat = own === undefined ? undefined : readStat(pid);
    if (stat === undefined || (started !== "" && stat.started !== started)) return undefined;
    if (stat.state === "T" || stat.state === "t") return "is stopped (SIGSTOP, or a debugger)";
    if (stat.state === "D") return "waits for a disk or a file system";
    const isEnding = stat.state === "Z" || stat.state === "X" || (stat.flags & exitingFlag) !== 0;
    if (!isEnding) return undefined;
    const signal = stat.exitStatus & 0x7f;
    const [name = `signal ${signal}`] = Object.entries(constants.signals).find(([, number]) => number === signal) ?? [];
    return signal === 0 ? `ended with code ${stat.exitStatus >> 8}` : `was ended by ${name}`;
  }
}

function answersSignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return thrown instanceof Error && "code" in thrown && thrown.code === "EPERM";
  }
}
