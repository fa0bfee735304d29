import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { command } from "./command.ts";

/** A connection between two namespaces with a delay of its own; see `cable.c`. */
export interface Cable {
  /** One way. */
  setDelay(delayMs: number): void;
  close(): void;
}

const compilers = ["cc", "gcc", "clang"];

/** Compiles the program into `folder`. Undefined where there is no C compiler. */
export async function compileCable(folder: string): Promise<string | undefined> {
  const target = path.join(folder, "cable");
  if (existsSync(target)) return target;
  for (const compiler of compilers)
    try {
      await command(compiler, ["-O2", "-o", target, path.join(import.meta.dirname, "cable.c")]);
      return target;
    } catch (thrown) {
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT")) throw thrown;
    }
  return undefined;
}

/** `ends`: namespace and device, twice. */
export function layCable(program: string, ends: readonly [string, string, string, string]): Promise<Cable> {
  return new Promise((resolve, reject) => {
    const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...ends], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdin.on("error", () => undefined);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the cable ${ends.join(" ")} ended with ${code}`)));
    child.stdout.once("data", () =>
      resolve({
        setDelay: (delayMs) => void child.stdin.write(`${Math.round(delayMs * 1000)}\n`),
        close: () => void child.kill("SIGKILL"),
      }),
    );
  });
}
