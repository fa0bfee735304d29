import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { MusterError } from "../kernel/index.ts";

/** What is needed to start one process of a fleet. */
export interface ProcessSpec {
  readonly kind: "directory" | "agent" | "server";
  /** The server's key, or the host's name with its role. */
  readonly name: string;
  readonly host: string;
  readonly table?: string;
  /** The whole command line; the first word is a Node binary. */
  readonly command: readonly string[];
  /** What it gets besides the environment of `muster up`. */
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Where it answers HTTP, if it does. */
  readonly http?: string;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const lifelineDescriptor = 3;
const logTailBytes = 2000;
const lifelineModule = new URL(import.meta.url.endsWith(".ts") ? "./lifeline.ts" : "./lifeline.js", import.meta.url).href;

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The line that starts the process again by hand, from any folder. */
export function restartLine({ command, env }: ProcessSpec): string {
  return [...Object.entries(env).map(([name, value]) => `${name}=${quoted(value)}`), ...command.map(quoted)].join(" ");
}

/** A running process of the fleet. Its output goes to its own log file, so that it does not depend on who reads it. */
export class FleetProcess {
  readonly spec: ProcessSpec;
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  #end: ProcessEnd | undefined;

  constructor(spec: ProcessSpec, environment: NodeJS.ProcessEnv) {
    this.spec = spec;
    mkdirSync(dirname(spec.logFile), { recursive: true });
    const log = openSync(spec.logFile, "w");
    const [node, ...words] = spec.command;
    try {
      // A process group of its own: Ctrl-C reaches `muster up` alone, which ends the others in order.
      this.#child = spawn(node ?? process.execPath, ["--import", lifelineModule, ...words], {
        detached: true,
        env: { ...environment, ...spec.env, MUSTER_LIFELINE: String(lifelineDescriptor) },
        stdio: ["ignore", log, log, "pipe"],
      });
    } finally {
      closeSync(log);
    }
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        this.#end = { code, signal };
        resolve(this.#end);
      };
      this.#child.once("exit", end);
      this.#child.once("error", () => end(null, null));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get end(): ProcessEnd | undefined {
    return this.#end;
  }

  /** Asks it to end, and kills it when it does not within `graceMs`. Resolves when it is gone; true when it had to be killed. */
  async stop(graceMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#end !== undefined) return false;
    let killed = false;
    const kill = () => {
      killed = true;
      this.#child.kill("SIGKILL");
    };
    this.#child.kill("SIGTERM");
    const timer = setTimeout(kill, graceMs);
    if (signal.aborted) kill();
    else signal.addEventListener("abort", kill, { once: true });
    await this.ended;
    clearTimeout(timer);
    signal.removeEventListener("abort", kill);
    return killed;
  }

  /** Rejects when the process ends while its readiness is waited for; names the end and the last lines of its log. */
  async failed(): Promise<never> {
    const { code, signal } = await this.ended;
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    throw new MusterError("main/process-ended", `${this.spec.name} ended ${how} while it started:\n${this.logTail()}`, {
      next: `see ${this.spec.logFile}`,
    });
  }

  logTail(): string {
    try {
      return readFileSync(this.spec.logFile, "utf8").slice(-logTailBytes).trim();
    } catch {
      return "";
    }
  }
}
