import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { MusterError } from "../kernel/index.ts";
import type { CommandEnd, CommandSpawner, RunningCommand, StopSignal } from "./world.ts";

/**
 * COMMAND starts behind a gate: a shell that waits for one line and then becomes COMMAND (`exec`: same process, same group). So
 * the guardian stands before the program runs, and a wrapper that dies in between leaves nothing behind.
 */
const gate = 'IFS= read -r go <&3 || exit 125; exec 3<&-; exec "$@"';

/**
 * The guardian is a shell that reads from a pipe whose other end only this process holds. When this process ends, also by
 * kill -9, the pipe closes and the group of COMMAND is killed. A word on the pipe dismisses it. It has a session of its
 * own, so that no signal to us or to COMMAND reaches it.
 */
const guardian = 'IFS= read -r word; [ "$word" = dismissed ] || kill -s KILL -- "-$1"';

/** Starts programs in process groups that die with this process. Needs /bin/sh, as every POSIX system has it. */
export class NodeCommandSpawner implements CommandSpawner {
  readonly #env: Readonly<Record<string, string | undefined>>;

  /** `env` is what the programs get, besides what each is given. */
  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  async spawn(command: readonly string[], options: { readonly env: Readonly<Record<string, string>> }): Promise<RunningCommand> {
    const env = { ...this.#env, ...options.env };
    await checkProgram(command[0] ?? "", env["PATH"] ?? "");
    const child = spawn("/bin/sh", ["-c", gate, "muster-serve", ...command], {
      stdio: ["inherit", "inherit", "inherit", "pipe"],
      detached: true,
      env,
    });
    const ended = endOf(child);
    const pid = await pidOf(child, command);
    const guard = spawn("/bin/sh", ["-c", guardian, "muster-guardian", String(pid)], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    try {
      await pidOf(guard, ["/bin/sh"]);
    } catch (thrown) {
      killGroup(pid, "SIGKILL");
      throw thrown;
    }
    guard.stdin?.on("error", () => {});
    guard.unref();
    openGate(child);
    void ended.then(() => {
      // What the program has started in its turn is watched by nobody any more.
      killGroup(pid, "SIGKILL");
      guard.stdin?.end("dismissed\n");
    });
    return { pid, ended, signal: (name) => killGroup(pid, name) };
  }

  isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch (thrown) {
      // EPERM: it lives, and is not ours.
      return thrown instanceof Error && "code" in thrown && thrown.code === "EPERM";
    }
  }
}

/** Behind the gate a missing program would look like one that ended with code 127: it is looked for before. */
async function checkProgram(program: string, path: string): Promise<void> {
  const places = program.includes("/") ? [program] : path.split(delimiter).map((folder) => join(folder === "" ? "." : folder, program));
  for (const place of program === "" ? [] : places)
    try {
      await access(place, constants.X_OK);
      return;
    } catch {
      // Perhaps in the next folder.
    }
  throw new MusterError("cli/cannot-start", `there is no program "${program}" that may be run`, {
    next: "check the COMMAND behind --, and PATH",
  });
}

function openGate(child: ChildProcess): void {
  const pipe = child.stdio[3];
  if (pipe === null || pipe === undefined || !("write" in pipe)) return;
  pipe.on("error", () => {});
  pipe.end("go\n");
}

function pidOf(child: ChildProcess, command: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    if (child.pid !== undefined) {
      resolve(child.pid);
      return;
    }
    child.once("error", (cause) => {
      reject(
        new MusterError("cli/cannot-start", `${command[0]} cannot be started: ${cause.message}`, {
          next: "check the path and its rights",
          cause,
        }),
      );
    });
  });
}

function endOf(child: ChildProcess): Promise<CommandEnd> {
  return new Promise((resolve) => {
    child.once("error", () => resolve({ code: 126 }));
    child.once("exit", (code, signal) => resolve({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }) }));
  });
}

function killGroup(pid: number, name: StopSignal | "SIGKILL"): void {
  try {
    process.kill(-pid, name);
  } catch {
    // The group has ended.
  }
}
