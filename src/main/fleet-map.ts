import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MusterError, isRecord } from "../kernel/index.ts";
import { type FleetProcess, restartLine } from "./fleet-process.ts";

/** Names one life of a process: ids are used again. Undefined when it is gone. */
export function processLife(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH") return undefined;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : `${pid} ${fields[19]}`;
  } catch {
    return String(pid);
  }
}

interface KnownProcess {
  readonly pid: number;
  readonly life: string;
}

function readKnown(path: string): { runner: KnownProcess; processes: KnownProcess[] } | undefined {
  const parse = (value: unknown): KnownProcess[] =>
    isRecord(value) && typeof value.pid === "number" && typeof value.life === "string" ? [{ pid: value.pid, life: value.life }] : [];
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    const [runner] = parse(value);
    if (runner === undefined || !isRecord(value) || !Array.isArray(value.processes)) return undefined;
    return { runner, processes: value.processes.flatMap(parse) };
  } catch {
    return undefined;
  }
}

/**
 * `fleet.json` in the data folder: which processes run, for people and experiments that want to shoot at them. It is written
 * anew at every change and removed at the end; while its writer lives, a second `muster up` on the folder is refused.
 */
export class FleetMap {
  readonly #path: string;
  readonly #name: string;
  #agent: string | undefined;
  #url: string | undefined;
  #processes: readonly FleetProcess[] = [];
  #removed = false;

  private constructor(path: string, name: string) {
    this.#path = path;
    this.#name = name;
  }

  /** Takes the folder. What a killed predecessor left running is waited for, then killed. Throws `main/fleet-runs`. */
  static async claim(folder: string, name: string, waitMs: number): Promise<FleetMap> {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "fleet.json");
    const before = readKnown(path);
    if (before !== undefined && before.runner.pid !== process.pid && processLife(before.runner.pid) === before.runner.life)
      throw new MusterError("main/fleet-runs", `a fleet already runs on ${folder} (process ${before.runner.pid})`, {
        next: `end it with Ctrl-C or kill ${before.runner.pid}, or set MUSTER_DATA to another folder`,
      });
    const left = () => before?.processes.filter(({ pid, life }) => processLife(pid) === life) ?? [];
    for (let waitedMs = 0; left().length > 0 && waitedMs < waitMs; waitedMs += 50) await new Promise((resolve) => setTimeout(resolve, 50));
    for (const { pid } of left()) process.kill(pid, "SIGKILL");
    const map = new FleetMap(path, name);
    map.write([]);
    return map;
  }

  serves(agent: string, url: string | undefined): void {
    this.#agent = agent;
    this.#url = url;
    this.write(this.#processes);
  }

  write(processes: readonly FleetProcess[]): void {
    if (this.#removed) return;
    this.#processes = processes;
    const lifeOf = (pid: number | undefined) => (pid === undefined ? {} : { pid, life: processLife(pid) ?? "" });
    const map = {
      name: this.#name,
      ...lifeOf(process.pid),
      agent: this.#agent ?? null,
      url: this.#url ?? null,
      processes: processes.map(({ spec, pid, end }) => ({
        kind: spec.kind,
        key: spec.name,
        table: spec.table ?? null,
        host: spec.host,
        running: end === undefined,
        ...(end === undefined ? lifeOf(pid) : { pid: null }),
        http: spec.http ?? null,
        command: spec.command,
        env: spec.env,
        restart: restartLine(spec),
        log: spec.logFile,
      })),
    };
    const draft = `${this.#path}.new`;
    writeFileSync(draft, `${JSON.stringify(map, null, 2)}\n`);
    renameSync(draft, this.#path);
  }

  remove(): void {
    this.#removed = true;
    rmSync(this.#path, { force: true });
  }
}
