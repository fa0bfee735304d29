import { readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { command } from "./command.ts";

/**
 * Everything that a run makes on the machine carries its id in its name: the process that runs it, and when that was started
 * (in ticks of the system, so that a process id that was given out again is not mistaken for it).
 */
const prefix = "muster-lab";
const namePattern = /^muster-lab\.(\d+)\.(\d+)(?:\.|$)/;
let runs = 0;

/** A new id for a run of this process. */
export function newRunId(): string {
  runs++;
  return `${prefix}.${process.pid}.${startedAt(process.pid)}.${runs}`;
}

export function namespaceName(run: string, host: string): string {
  return `${run}.${host}`;
}

/** Removes namespaces and folders of runs whose process is gone, with what still runs in these namespaces. Returns their names. */
export async function removeLeftOvers(): Promise<readonly string[]> {
  const namespaces = (await namespaceNames()).filter(isLeftOver);
  for (const name of namespaces) await removeNamespace(name);
  const folders = readdirSync(tmpdir()).filter(isLeftOver);
  for (const name of folders) rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
  return [...namespaces, ...folders];
}

/** All of one run. */
export async function removeRun(run: string): Promise<void> {
  const names = (await namespaceNames()).filter((name) => name.startsWith(`${run}.`));
  await Promise.all(names.map(removeNamespace));
  rmSync(runFolder(run), { recursive: true, force: true });
}

/** Where a run keeps sockets, data and logs. */
export function runFolder(run: string): string {
  return path.join(tmpdir(), run);
}

export async function namespaceNames(): Promise<readonly string[]> {
  const text = await command("ip", ["netns", "list"]);
  return text
    .split("\n")
    .flatMap((line) => line.split(" ")[0] ?? [])
    .filter((name) => namePattern.test(name));
}

/** Whatever runs in a namespace of ours was started by us; a namespace lives as long as anything in it. */
async function removeNamespace(name: string): Promise<void> {
  const pids = (await command("ip", ["netns", "pids", name])).split("\n").filter((pid) => pid !== "");
  for (const pid of pids)
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch (thrown) {
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
    }
  await command("ip", ["netns", "delete", name]);
}

function isLeftOver(name: string): boolean {
  const [, pid, started] = namePattern.exec(name) ?? [];
  return pid !== undefined && startedAt(Number(pid)) !== started;
}

/** Undefined when there is no such process. The name in parentheses may hold anything, so fields count from behind it. */
function startedAt(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
