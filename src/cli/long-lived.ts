import type { Command } from "commander";
import { errorOf } from "../kernel/index.ts";
import { parseHostName, parseRouteAddress } from "../tables/index.ts";
import { exitCode, usageError } from "./errors.ts";
import type { Session } from "./session.ts";
import { collect } from "./verb.ts";
import type { NodeRun } from "./world.ts";

/** Options that every node has. */
export function addNodeOptions(command: Command): Command {
  return command
    .option("--listen <address>", "where children link to, H:P; port 0 picks a free one")
    .option("--http <address>", 'where HTTP is served, H:P (default 127.0.0.1:7551, or a free port when that is taken); "off": nowhere')
    .option("--socket <path>", "the unix socket for programs on this host (default below ./.muster/)")
    .option("--plaintext", "allow links beyond loopback without TLS: only in networks that you trust")
    .option("--secret <file>", "what keys the probes between hosts (also MUSTER_SECRET); a directory makes one in its data folder")
    .option("--preset <name>", "periods of ticks and expiry: lan (default), wan or test")
    .option("--allow-command-checks", "rows of the table checks may run commands on this host")
    .option("--hook <name=command>", "a program that an expired heartbeat may call by its name; repeatable", collect);
}

export function nodeRunOf({ options }: Session): NodeRun {
  const listen = options.text("listen");
  const http = options.text("http");
  const socket = options.text("socket");
  const data = options.text("data");
  const secret = options.text("secret");
  return {
    ...(listen === undefined ? {} : { listen }),
    ...(http === undefined ? {} : { http }),
    ...(socket === undefined ? {} : { socket }),
    ...(data === undefined ? {} : { data }),
    ...(secret === undefined ? {} : { secret }),
    plaintext: options.flag("plaintext"),
    preset: options.choice("preset", ["lan", "wan", "test"]) ?? "lan",
    ...logOptionsOf({ options }),
    allowCommandChecks: options.flag("allowCommandChecks"),
    hooks: options.pairs("hook"),
  };
}

/** The name of the host and the addresses of its routes, as options give them. */
export function hostOf(host: string, routes: readonly string[]): { readonly host: string; readonly routes: readonly string[] } {
  try {
    parseHostName(host);
  } catch (thrown) {
    throw usageError(errorOf(thrown).message, "for example --host HOST9");
  }
  for (const route of routes)
    if (parseRouteAddress(route) === undefined)
      throw usageError(`--route ${JSON.stringify(route)} is not a network address`, "for example --route 10.0.0.9");
  return { host, routes };
}

/** Attributes of the host's row. */
export function attributesOf({ options }: Session): Readonly<Record<string, string>> {
  const attributes = options.pairs("attribute");
  if ("routes" in attributes) throw usageError("--attribute routes is what the row says by itself", "choose another name");
  return attributes;
}

export function logOptionsOf({ options }: Pick<Session, "options">): Pick<NodeRun, "logFormat" | "logLevel"> {
  return {
    logFormat: options.choice("logFormat", ["human", "json"]) ?? "human",
    logLevel: options.choice("logLevel", ["debug", "info", "warn", "error"]) ?? "info",
  };
}

/**
 * Runs something until it ends by itself or a stop signal comes: then it is told to stop, and awaited. A second signal
 * does not wait any longer.
 */
export async function untilStopped(session: Session, run: (stop: AbortSignal) => Promise<number>): Promise<number> {
  const stop = new AbortController();
  let giveUp: (code: number) => void = () => {};
  const impatient = new Promise<number>((resolve) => {
    giveUp = resolve;
  });
  const forget = session.world.onSignal(() => {
    if (stop.signal.aborted) giveUp(exitCode.refused);
    stop.abort();
  });
  try {
    return await Promise.race([run(stop.signal), impatient]);
  } finally {
    forget();
  }
}
