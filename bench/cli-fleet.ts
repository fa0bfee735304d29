import path from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchContext, PeerServer } from "./bench.ts";

const muster = fileURLToPath(new URL("../bin/muster.js", import.meta.url));

/** Children of a bench start faster with compiled code kept between runs, as the command does for itself. */
export const compiledCode: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL("../.cache/compiled", import.meta.url)),
};

/** A node started by the command line, as users start it. */
export interface CliNode {
  /** Where it takes links: H:P. */
  readonly place: string;
  /** Where programs of its host reach it. */
  readonly socket: string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** The same node again, with the same data and place; resolves when it takes links. */
  start(): Promise<void>;
}

/** A directory on a store on disk. */
export function startDirectory(context: BenchContext): Promise<CliNode> {
  return startNode(context, "directory", ["--data", path.join(context.folder(), "data")]);
}

/** Tries the parents in this order. */
export function startRelay(context: BenchContext, parents: readonly CliNode[]): Promise<CliNode> {
  return startNode(context, "relay", parentWords(parents));
}

export function startAgent(context: BenchContext, host: string, route: string, parents: readonly CliNode[]): Promise<CliNode> {
  return startNode(context, "agent", [...parentWords(parents), "--host", host, "--route", route]);
}

function parentWords(parents: readonly CliNode[]): readonly string[] {
  return ["--parent", parents.map(({ place }) => place).join(",")];
}

async function startNode(context: BenchContext, role: string, words: readonly string[]): Promise<CliNode> {
  const port = await context.port();
  const place = `127.0.0.1:${port}`;
  const socket = path.join(context.folder(), `${role}.sock`);
  const usual = ["--listen", place, "--socket", socket, "--http", "off", "--log-level", "error"];
  let server: PeerServer | undefined;
  const node: CliNode = {
    place,
    socket,
    kill: async () => server?.stop(),
    start: async () => {
      server = await context.server(process.execPath, [muster, role, ...words, ...usual], port);
    },
  };
  await node.start();
  return node;
}
