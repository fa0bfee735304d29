import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Child, type ChildOptions, startChild } from "./child.ts";
import { type ClosedLoopOptions, type ClosedLoopResult, type Sample, closedLoop, sampleOf } from "./measure.ts";
import { installDebian } from "../scripts/debian.ts";
import { type PeerServer, installPeers, programPath, startServer } from "./peers.ts";

/**
 * How a bench is written: a folder `bench/NAME/` whose `index.ts` exports `bench: Bench`. It measures Muster, floors and
 * peers in the same run and returns results; `bench/run.ts` prints them and writes the JSON file. A ratio to a floor or
 * a peer is a result of its own, and at least one result has a goal.
 */
export { type Child, type ChildOptions, emit, serveParent } from "./child.ts";
export * from "./measure.ts";
export { type PeerServer, peerRequire } from "./peers.ts";

/** In the unit of the result it belongs to. */
export type Goal = { readonly max: number } | { readonly min: number };

export interface BenchResult {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
  /** False for ours (and for a ratio of ours to something), true for a floor or a peer. */
  readonly peer: boolean;
  readonly goal?: Goal;
}

export interface Bench {
  readonly name: string;
  /** One line: what it answers. */
  readonly about: string;
  run(context: BenchContext): Promise<readonly BenchResult[]>;
}

export interface BenchContext {
  /** Arguments after the name that `bench/run.ts` did not take for itself, e.g. a choice of cases. */
  readonly args: readonly string[];
  /** Progress for the reader; results are returned. */
  log(line: string): void;
  /** Calls `measure` `times` times and gathers each number it returns under its key, in the order of the runs. */
  repeat<K extends string>(
    times: number,
    measure: (run: number) => Promise<Readonly<Record<K, number>>>,
  ): Promise<Readonly<Record<K, Sample>>>;
  closedLoop(operation: () => unknown, options?: ClosedLoopOptions): Promise<ClosedLoopResult>;
  /** Installs `bench/package.json` when needed and gives the `require` that finds those packages. */
  peers(): Promise<NodeJS.Require>;
  /** Installs Debian packages when needed; false (and a line that says why) where that is not possible. */
  debian(packages: readonly string[]): Promise<boolean>;
  /** A server program of a Debian package, stopped at the end; resolves when its port accepts connections. */
  server(program: string, args: readonly string[], port: number): Promise<PeerServer>;
  /** A Node process of the bench's own, killed at the end. */
  child(script: URL, args?: readonly (string | number)[], options?: ChildOptions): Child;
  /** Ties all threads of the processes to the cores ("0", "0,1"); false where `taskset` is missing. */
  pin(pids: readonly number[], cores: string): boolean;
  /** A free TCP port on 127.0.0.1. */
  port(): Promise<number>;
  /** An empty folder, removed at the end. */
  folder(): string;
  /** Runs at the end, last registered first, also after a failure or an interrupt. */
  cleanup(undo: () => unknown): void;
}

/** Builds a result from a sample. */
export function resultOf(
  name: string,
  unit: string,
  sample: Sample,
  options: { readonly peer?: boolean; readonly goal?: Goal } = {},
): BenchResult {
  const { median, min, max, runs } = sample;
  const result = { name, unit, median, min, max, runs, peer: options.peer ?? false };
  return options.goal === undefined ? result : { ...result, goal: options.goal };
}

/** The real context; `close` runs what was registered for the end and is idempotent. */
export function createContext(args: readonly string[], log: (line: string) => void): BenchContext & { close(): Promise<void> } {
  const undos: (() => unknown)[] = [];
  const cleanup = (undo: () => unknown) => void undos.push(undo);
  return {
    args,
    log,
    cleanup,
    closedLoop,
    peers: () => installPeers(log),
    debian: (packages) => installDebian(packages, log),
    repeat: async (times, measure) => {
      const runs = [];
      for (let run = 0; run < times; run++) runs.push(await measure(run));
      return gather(runs);
    },
    server: async (program, serverArgs, port) => {
      const server = await startServer(programPath(program), serverArgs, port);
      cleanup(() => server.stop());
      return server;
    },
    child: (script, childArgs, options) => {
      const child = startChild(script, childArgs, options);
      cleanup(() => child.kill());
      return child;
    },
    pin: (pids, cores) => pids.every((pid) => spawnSync("taskset", ["-apc", cores, String(pid)]).status === 0),
    port: freePort,
    folder: () => {
      const folder = mkdtempSync(path.join(tmpdir(), "muster-bench-"));
      cleanup(() => rmSync(folder, { recursive: true, force: true }));
      return folder;
    },
    close: async () => {
      for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
        try {
          await undo();
        } catch (error) {
          log(`clean-up failed: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
    },
  };
}

function gather<K extends string>(runs: readonly Readonly<Record<K, number>>[]): Readonly<Record<K, Sample>> {
  const values = new Map<string, number[]>();
  for (const run of runs) for (const [key, value] of Object.entries<number>(run)) values.set(key, [...(values.get(key) ?? []), value]);
  return parseSamples(Object.fromEntries([...values].map(([key, list]) => [key, sampleOf(list)])));
}

/** The keys of the gathered samples are those of every run, which the type system cannot follow through `fromEntries`. */
function parseSamples<K extends string>(samples: Readonly<Record<string, Sample>>): Readonly<Record<K, Sample>> {
  return samples as Readonly<Record<K, Sample>>;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address !== null) resolve(address.port);
        else reject(new Error("the system gave no port"));
      });
    });
  });
}
