import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { sleepMs } from "./measure.ts";

/**
 * What others built, for comparison in the same run: npm packages from `bench/package.json` in a tree of their own (they
 * never become dependencies of Muster), and servers that Debian packages.
 */
const folder = path.dirname(fileURLToPath(import.meta.url));
const execute = promisify(execFile);

/** `require` that finds the peers; for child processes of a bench, which start after the parent called `installPeers`. */
export const peerRequire: NodeJS.Require = createRequire(path.join(folder, "package.json"));

/** Installs `bench/package.json` into `bench/node_modules` unless that has been done since it last changed. */
export async function installPeers(log: (line: string) => void): Promise<NodeJS.Require> {
  const manifest = path.join(folder, "package.json");
  const marker = path.join(folder, "node_modules", ".installed-for");
  const wanted = readFileSync(manifest, "utf8");
  if (existsSync(marker) && readFileSync(marker, "utf8") === wanted) return peerRequire;
  log("installing the peers of bench/package.json …");
  const verb = existsSync(path.join(folder, "package-lock.json")) ? "ci" : "install";
  try {
    await execute("npm", [verb, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder, timeout: 10 * 60_000 });
  } catch (error) {
    throw new Error(`the peers could not be installed (npm ${verb} in bench/); is the registry reachable?`, { cause: error });
  }
  writeFileSync(marker, wanted);
  return peerRequire;
}

export interface PeerServer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a server program and waits until its port accepts connections. */
export async function startServer(command: string, args: readonly string[], port: number, waitMs = 20_000): Promise<PeerServer> {
  const server = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  server.stderr.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4000);
  });
  let ended = false;
  const gone = new Promise<void>((resolve) => {
    const end = () => {
      ended = true;
      resolve();
    };
    server.once("exit", end);
    server.once("error", end);
  });
  const stop = async () => {
    if (!ended) server.kill("SIGKILL");
    await gone;
  };
  const untilMs = performance.now() + waitMs;
  while (!(await accepts(port))) {
    if (ended || performance.now() > untilMs) {
      await stop();
      throw new Error(`${command} did not serve port ${port} within ${waitMs} ms: ${errors}`);
    }
    await sleepMs(50);
  }
  if (server.pid === undefined) throw new Error(`${command} did not start`);
  return { pid: server.pid, port, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Where Debian puts a server program; daemons live outside the usual path. */
export function programPath(name: string): string {
  const places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
  return places.map((place) => path.join(place, name)).find((file) => existsSync(file) && statSync(file).isFile()) ?? name;
}
