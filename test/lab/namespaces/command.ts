import { spawn } from "node:child_process";

/** Runs a system command with optional input; rejects with what it complained about. Resolves with its output. */
export function command(name: string, args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    let complained = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (complained += chunk.toString()));
    child.once("error", reject);
    // A command that reads nothing closes its input; what it says counts.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input ?? "");
    child.once("close", (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`${name} ${args.join(" ")} ended with ${code}: ${complained.trim() || said.trim()}`));
    });
  });
}
