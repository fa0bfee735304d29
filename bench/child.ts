import { fork } from "node:child_process";
import { isRecord } from "../src/kernel/index.ts";
import { processCpuSeconds, processResidentBytes } from "./measure.ts";

/** Another Node process of a bench, asked over IPC; see `serveParent` for its side. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason. */
  readonly gone: Promise<void>;
  /** Asks the child's function `name`; rejects with its error, or when the child ends first. */
  call(name: string, argument?: unknown): Promise<unknown>;
  /** Listens to what the child tells with `emit(event, value)`. */
  on(event: string, listener: (value: unknown) => void): void;
  /** User and system seconds since the last time it was asked (10 ms resolution). */
  cpuSeconds(): number;
  residentBytes(): number;
  /** Sends a signal; after SIGKILL it resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

export interface ChildOptions {
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Starts `script` under the running Node with an IPC channel; its standard output joins ours. */
export function startChild(script: URL, args: readonly (string | number)[] = [], options: ChildOptions = {}): Child {
  const child = fork(script, args.map(String), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
    execArgv: [...(options.execArgv ?? [])],
    env: { ...process.env, ...options.env },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${script.pathname} did not start`);
  const waiting = new Map<number, Waiting>();
  const listeners = new Map<string, (value: unknown) => void>();
  let lastId = 0;
  let cpuBefore = 0;
  const gone = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      for (const { reject } of waiting.values()) reject(new Error(`${script.pathname} ended (${signal ?? code}) before it answered`));
      waiting.clear();
      resolve();
    });
  });
  child.on("message", (message: unknown) => {
    if (!isRecord(message)) return;
    if (typeof message["event"] === "string") {
      listeners.get(message["event"])?.(message["value"]);
      return;
    }
    const id = Number(message["id"]);
    const call = waiting.get(id);
    waiting.delete(id);
    if (typeof message["error"] === "string") call?.reject(new Error(message["error"]));
    else call?.resolve(message["value"]);
  });
  return {
    pid,
    gone,
    call: (name, argument) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, { resolve, reject });
        child.send({ id, name, argument }, (error) => {
          if (error !== null) reject(error);
        });
      }),
    on: (event, listener) => void listeners.set(event, listener),
    cpuSeconds: () => {
      const total = processCpuSeconds(pid);
      const used = total - cpuBefore;
      cpuBefore = total;
      return used;
    },
    residentBytes: () => processResidentBytes(pid),
    kill: async (signal = "SIGKILL") => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      if (signal === "SIGKILL") await gone;
    },
  };
}

/** The child's side: answers the parent's calls with `functions`, and ends when the parent is gone. */
export function serveParent(functions: Readonly<Record<string, (argument: unknown) => unknown>>): void {
  const answer = async (message: unknown) => {
    if (!isRecord(message)) return;
    const { id, name, argument } = message;
    try {
      const run = functions[String(name)];
      if (run === undefined) throw new Error(`the child has no function "${String(name)}"`);
      process.send?.({ id, value: await run(argument) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  process.on("message", (message) => void answer(message));
  process.on("disconnect", () => process.exit(0));
}

/** Tells the parent something it did not ask for. */
export function emit(event: string, value?: unknown): void {
  process.send?.({ event, value });
}
