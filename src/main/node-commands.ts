import { type ChildProcess, spawn } from "node:child_process";
import type { CommandEnd, CommandSpawner, RunningCommand, StopSignal } from "../cli/index.ts";
import { MusterError } from "../kernel/index.ts";

/**
 * A guard beside the command, in a process group of its own: it waits for one line on a pipe that only this process
 * holds. When the pipe closes without one, this process has died, however it died, and the guard ends the command's group.
 */
const guardScript = 'read -r line || kill -9 "-$1"';

/** Starts commands in process groups that end with this process. */
export class NodeCommands implements CommandSpawner {
  readonly #env: NodeJS.ProcessEnv;

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env;
  }

  spawn(command: readonly string[], options: { readonly env: Readonly<Record<string, string>> }): Promise<RunningCommand> {
    const [file = "", ...args] = command;
    return new Promise((resolve, reject) => {
      const child = spawn(file, args, { stdio: "inherit", detached: true, env: { ...this.#env, ...options.env } });
      child.once("error", (cause) =>
        reject(
          new MusterError("cli/cannot-start", `"${file}" cannot be started: ${cause.message}`, { next: "check the command behind --", cause }),
        ),
      );
      child.once("spawn", () => resolve(running(child)));
    });
  }

  isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch (thrown) {
      // Somebody else's process lives, too.
      return thrown instanceof Error && "code" in thrown && thrown.code === "EPERM";
    }
  }
}

function running(child: ChildProcess): RunningCommand {
  const pid = child.pid ?? 0;
  const guard = spawn("/bin/sh", ["-c", guardScript, "guard", String(pid)], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  // Without a guard the command still runs; it only outlives a wrapper that is killed.
  guard.on("error", () => {});
  guard.stdin?.on("error", () => {});
  const ended = new Promise<CommandEnd>((resolve) => {
    child.once("exit", (code, signal) => {
      guard.stdin?.end("done\n");
      resolve({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }) });
    });
  });
  return {
    pid,
    ended,
    signal: (name: StopSignal | "SIGKILL") => {
      try {
        process.kill(-pid, name);
      } catch {
        // The group has ended already.
      }
    },
  };
}
