import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { isRecord } from "../src/kernel/index.ts";
import { root } from "./repository.ts";

/** What a program said and how it ended; 128 + n after a signal is not told apart, a signal counts as 1. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const require = createRequire(import.meta.url);

/** The script behind a command of an installed package, so that it runs under the Node that runs us. */
export function packageProgram(packageName: string, command = packageName): string {
  const manifestFile = path.join(root, "node_modules", packageName, "package.json");
  const manifest: unknown = require(manifestFile);
  const bin = isRecord(manifest) ? manifest["bin"] : undefined;
  const file = typeof bin === "string" ? bin : isRecord(bin) ? bin[command] : undefined;
  if (typeof file !== "string") throw new Error(`${packageName} has no command "${command}"; run npm ci`);
  return path.join(path.dirname(manifestFile), file);
}

/** Runs a command of an installed package in the repository's root and gathers what it says. */
export function runPackageProgram(packageName: string, args: readonly string[], command = packageName): Promise<Finished> {
  return runProgram(process.execPath, [packageProgram(packageName, command), ...args]);
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
}

export function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd ?? root,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}
