import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";

/** Long-lived `muster` processes of a test: started one by one, all stopped at the end. */
export interface MusterProcesses {
  /** Starts a verb and resolves with the first match (its first group) in what the process says. */
  start(args: readonly string[], says: RegExp): Promise<string>;
  /** A directory and one host's agent (HOST1 on 127.0.0.1); resolves with the agent's socket. */
  startFleet(): Promise<string>;
  stop(): Promise<void>;
}

/** `muster`: the command's file; `folder`: where the processes work and keep their sockets. */
export function musterProcesses(muster: string, folder: string): MusterProcesses {
  const running: ChildProcess[] = [];

  const start = (args: readonly string[], says: RegExp) => {
    const child = spawn(process.execPath, [muster, ...args], {
      cwd: folder,
      env: { ...process.env, XDG_CACHE_HOME: path.join(folder, "cache") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.push(child);
    return new Promise<string>((resolve, reject) => {
      let said = "";
      const listen = (chunk: Buffer) => {
        said += chunk.toString();
        const match = says.exec(said);
        if (match !== null) resolve(match[1] ?? match[0]);
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`muster ${args.join(" ")} ended with ${code}: ${said}`)));
    });
  };

  const stopOne = (child: ChildProcess) =>
    new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.once("exit", () => resolve());
      child.kill("SIGKILL");
    });

  return {
    start,
    startFleet: async () => {
      const quiet = ["--listen", "127.0.0.1:0", "--http", "off", "--preset", "test"];
      const parent = await start(
        ["directory", "--store", "memory", "--data", "directory", "--socket", "directory.sock", ...quiet],
        /(127\.0\.0\.1:\d+)/,
      );
      await start(
        ["agent", "--parent", parent, "--host", "HOST1", "--route", "127.0.0.1", "--socket", "agent.sock", ...quiet],
        /agent\.sock/,
      );
      return path.join(folder, "agent.sock");
    },
    stop: async () => {
      await Promise.all(running.map(stopOne));
    },
  };
}
