import { spawn } from "node:child_process";
import type { Telemetry } from "../kernel/index.ts";
import type { Lapse } from "../roll/index.ts";

const hookMsMax = 30_000;

/** Runs a configured hook command; what lapsed is in its environment. It is killed after 30 s. */
export function runHook(command: string, lapse: Lapse, telemetry: Telemetry): void {
  const child = spawn("/bin/sh", ["-c", command], {
    stdio: "ignore",
    timeout: hookMsMax,
    killSignal: "SIGKILL",
    env: { ...process.env, MUSTER_TABLE: lapse.table, MUSTER_KEY: lapse.key, MUSTER_CAUSE: lapse.cause },
  });
  child.on("error", (error) => telemetry.log("error", "hook-failed", { command, reason: error.message }));
  child.on("exit", (code, signal) => {
    if (code !== 0) telemetry.log("warn", "hook-failed", { command, code, signal });
  });
}
