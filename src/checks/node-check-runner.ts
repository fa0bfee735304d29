import { spawn } from "node:child_process";
import { connect } from "node:net";
import { errorOf } from "../kernel/index.ts";
import type { Check } from "./check.ts";
import type { CheckResult, CheckRunner } from "./check-runner.ts";

const answerCharactersMax = 200;

/** Checks over real sockets and processes. */
export class NodeCheckRunner implements CheckRunner {
  run(check: Check, timeoutMs: number, signal: AbortSignal): Promise<CheckResult> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const late = `no answer within ${timeoutMs} ms`;
    switch (check.kind) {
      case "tcp":
        return checkTcp(check.host, check.port, limit, late);
      case "http":
        return checkHttp(check.url, limit, late);
      case "command":
        return checkCommand(check.command, limit, late);
    }
  }
}

function checkTcp(host: string, port: number, limit: AbortSignal, late: string): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (result: CheckResult) => {
      limit.removeEventListener("abort", abort);
      socket.destroy();
      resolve(result);
    };
    const abort = () => finish({ healthy: false, reason: late });
    if (limit.aborted) {
      abort();
      return;
    }
    limit.addEventListener("abort", abort, { once: true });
    socket.on("connect", () => finish({ healthy: true, reason: "connected" }));
    socket.on("error", (error) => finish({ healthy: false, reason: error.message }));
  });
}

async function checkHttp(url: string, limit: AbortSignal, late: string): Promise<CheckResult> {
  try {
    const response = await fetch(url, {
      signal: limit,
      redirect: "manual",
      headers: { "user-agent": "muster-check", connection: "close" },
    });
    await response.body?.cancel();
    return { healthy: response.ok, reason: `status ${response.status}` };
  } catch (thrown) {
    if (limit.aborted) return { healthy: false, reason: late };
    const error = errorOf(thrown);
    return { healthy: false, reason: error.cause instanceof Error ? error.cause.message : error.message };
  }
}

function checkCommand(command: string, limit: AbortSignal, late: string): Promise<CheckResult> {
  return new Promise((resolve) => {
    let output = "";
    // In a group of its own: a command that hangs is ended with everything that it started.
    const child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "ignore", "pipe"], detached: true });
    const finish = (result: CheckResult) => {
      limit.removeEventListener("abort", abort);
      resolve(result);
    };
    const abort = () => {
      if (child.pid !== undefined) killGroup(child.pid);
      finish({ healthy: false, reason: late });
    };
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      if (output.length < answerCharactersMax) output += chunk;
    });
    child.on("error", (error) => finish({ healthy: false, reason: error.message }));
    child.on("exit", (code, killedBy) => {
      const said = output.trim().split("\n")[0] ?? "";
      const how = code === null ? `ended by ${killedBy}` : `exit status ${code}`;
      finish({ healthy: code === 0, reason: said === "" ? how : `${how}: ${said.slice(0, answerCharactersMax)}` });
    });
    if (limit.aborted) abort();
    else limit.addEventListener("abort", abort, { once: true });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}
