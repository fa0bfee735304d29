import type { CheckRunner } from "../checks/index.ts";
import type { Clock, LogLevel, Random } from "../kernel/index.ts";
import type { Fleet } from "../fleet/index.ts";

/** Where the CLI writes. */
export interface Output {
  write(text: string): void;
  /** Resolves when a slow reader has taken what was written; undefined when there is nothing to wait for. */
  drained?(): Promise<void> | undefined;
  /** A person reads it: colours, tables by the terminal's width, progress. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; undefined when there is none. */
  readonly columns?: number | undefined;
}

export interface ConnectRequest {
  /** Tried in order until one answers; `H:P` or the path of a socket. */
  readonly agents: readonly string[];
  /** Tables to hold a replica of; empty: none, everything is asked of the agent. */
  readonly tables: readonly string[];
  /** Give up after this long; rejects with the last cause. */
  readonly timeoutMs: number;
}

export type StopSignal = "SIGTERM" | "SIGINT" | "SIGHUP";

/** A program that the CLI has started, in a process group of its own that dies with this process, however that ends. */
export interface RunningCommand {
  readonly pid: number;
  /** Resolves when the program has ended; never rejects. */
  readonly ended: Promise<CommandEnd>;
  /** To the whole process group. Harmless after the end. */
  signal(name: StopSignal | "SIGKILL"): void;
}

export interface CommandEnd {
  /** Undefined when a signal ended it. */
  readonly code?: number;
  readonly signal?: string;
}

export interface CommandSpawner {
  /** Rejects with `cli/cannot-start` when there is no such program. Stdio is inherited. */
  spawn(command: readonly string[], options: { readonly env: Readonly<Record<string, string>> }): Promise<RunningCommand>;
  /** Whether a process with this number lives. */
  isAlive(pid: number): boolean;
}

/** What every long-lived node of the CLI takes. Addresses are `H:P`; port 0 picks a free one. */
export interface NodeRun {
  /** Where children link to; undefined: the role's default (directory and relay 127.0.0.1:7550; agent none). */
  readonly listen?: string;
  /** Where HTTP is served; undefined: 127.0.0.1:7551 or, when that is taken and was not asked for, a free port. "off": nowhere. */
  readonly http?: string;
  /** Unix socket for programs on this host; undefined: below `.muster/`. */
  readonly socket?: string;
  readonly data?: string;
  /** A file whose content keys the probes between hosts; undefined: a directory's own, others are told by their parent. */
  readonly secret?: string;
  /** Links beyond loopback without TLS. */
  readonly plaintext: boolean;
  readonly preset: "lan" | "wan" | "test";
  readonly logFormat: "human" | "json";
  readonly logLevel: LogLevel;
  /** Rows of the table `checks` may run commands on this host. */
  readonly allowCommandChecks: boolean;
  /** Programs that an expired heartbeat may call, by name. */
  readonly hooks: Readonly<Record<string, string>>;
}

export interface DirectoryRun extends NodeRun {
  readonly data: string;
  /** "lmdb", "memory" or "etcd://H:P,…". */
  readonly store: string;
  readonly peers: readonly string[];
  /** With a host the directory is that host's agent too. */
  readonly host?: string;
  readonly routes: readonly string[];
  /** Of that host's row. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Mappings of the built-in partition tables, for a fleet that is founded now. */
  readonly mappings: Readonly<Record<string, string>>;
}

export interface RelayRun extends NodeRun {
  readonly parents: readonly string[];
}

export interface AgentRun extends NodeRun {
  readonly parents: readonly string[];
  readonly host: string;
  readonly routes: readonly string[];
  /** Of the host's row. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface UpRun {
  /** Undefined: the bundled filestore fleet. */
  readonly file?: string;
  readonly data?: string;
  /** Address of the fleet's first HTTP door (for the filestore: its gateway). */
  readonly http?: string;
  readonly logFormat: "human" | "json";
  readonly logLevel: LogLevel;
}

export interface SnapshotSave {
  /** Agents or directories to follow until the whole roll is here. */
  readonly agents: readonly string[];
  /** Replaced when it is there. */
  readonly file: string;
  readonly timeoutMs: number;
  /** Also when no directory is heard. */
  readonly detached: boolean;
}

export interface SnapshotRestore {
  readonly file: string;
  /** The data directory to make. */
  readonly data: string;
  /** A roll that is there is replaced. */
  readonly replace: boolean;
  /** The reign that follows begins above this epoch, whatever the snapshot says. */
  readonly epochAbove?: number;
}

/** What a snapshot holds: the revision that it shows. */
export interface SnapshotSummary {
  readonly fleet: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly entries: number;
  readonly savedUnixMs: number;
}

/**
 * Everything of the world that the CLI touches. `main/` gives the real one, tests one in memory. The `run…` functions
 * resolve with the exit code when the node has stopped: `stop` is aborted by SIGTERM or SIGINT.
 */
export interface CliWorld {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly clock: Clock;
  readonly random: Random;
  readonly commands: CommandSpawner;
  readonly checks: CheckRunner;
  /** Rejects with a `MusterError` when no agent or directory answers. */
  connect(request: ConnectRequest): Promise<Fleet>;
  /** Rejects when the file cannot be read. */
  readFile(path: string): Promise<string>;
  fileExists(path: string): Promise<boolean>;
  /** Calls `handler` for each stop signal until the returned function is called; the default action is off meanwhile. */
  onSignal(handler: (signal: StopSignal) => void): () => void;
  runDirectory(run: DirectoryRun, stop: AbortSignal): Promise<number>;
  runRelay(run: RelayRun, stop: AbortSignal): Promise<number>;
  runAgent(run: AgentRun, stop: AbortSignal): Promise<number>;
  runUp(run: UpRun, stop: AbortSignal): Promise<number>;
  /** Rejects with `fleet/no-agent`, `cli/no-directory` or `main/snapshot-not-written`. */
  saveSnapshot(save: SnapshotSave): Promise<SnapshotSummary>;
  /** Rejects with `roll/bad-snapshot`, `storage/*` or `main/snapshot-not-read`; then nothing has changed. */
  restoreSnapshot(restore: SnapshotRestore): Promise<SnapshotSummary>;
}
