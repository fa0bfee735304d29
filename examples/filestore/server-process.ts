import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type ClaimedFolder, claimFolder } from "./data-folder.ts";
import { StoreError, messageOf, codeOf } from "./errors.ts";
import { type Fleet, connect } from "./muster.ts";

/** How long the roll is waited for at the end: the agent may be gone already, and then it finds out by itself. */
export const rollMsMax = 2000;
/** Twice an agent's grace. */
const claimMsMax = 10_000;

export interface ServerArguments {
  readonly key: string;
  readonly folder: ClaimedFolder;
  readonly fleet: Fleet;
  readonly log: (line: string) => void;
  /** Values of the extra options that the kind of server declared. */
  readonly options: Readonly<Record<string, string | undefined>>;
}

export interface RunningServer {
  /** For the log. */
  readonly serves: string;
  /** Rejects when it cannot go on. */
  readonly failed?: Promise<never>;
  /** Takes it off the roll, and lets what was begun come to its end. */
  leave(): Promise<void>;
  /** After that. */
  close(): Promise<void>;
}

export interface ServerKind {
  /** Extra options of the command line, with their defaults. */
  readonly options?: Readonly<Record<string, string>>;
  /** Resolves when it serves and the roll says so. */
  start(given: ServerArguments): Promise<RunningServer>;
}

/** Waits for the work, but not for longer than `limitMs`; its failure does not matter any more. */
export async function within(limitMs: number, work: Promise<unknown>): Promise<void> {
  const limit = new AbortController();
  await Promise.race([work.catch(() => {}), delay(limitMs, undefined, { signal: limit.signal }).catch(() => {})]);
  limit.abort();
}

/**
 * Puts a server on the roll. After a crash of the whole host, the entry of its last life stands for its agent's grace (5 s)
 * more, because that program could still come back: whoever holds the data folder knows better, and waits.
 */
export async function enterRoll<T>(serve: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  for (;;) {
    try {
      return await serve();
    } catch (thrown) {
      if (codeOf(thrown) !== "roll/key-claimed" || performance.now() - startedMs > claimMsMax) throw thrown;
    }
    await delay(100);
  }
}

/** Resolves with the first signal to end. */
async function endRequested(): Promise<string> {
  const signals = ["SIGTERM", "SIGINT", "SIGHUP"];
  return Promise.race(signals.map((signal) => once(process, signal).then(() => signal)));
}

async function run(kind: ServerKind): Promise<void> {
  const extra = Object.fromEntries(
    Object.entries(kind.options ?? {}).map(([name, value]) => [name, { type: "string" as const, default: value }]),
  );
  const { values } = parseArgs({
    options: {
      ...extra,
      key: { type: "string" },
      data: { type: "string" },
      agent: { type: "string" },
    },
  });
  const { key, data, agent } = values;
  if (key === undefined || data === undefined)
    throw new StoreError(400, "filestore/usage", "--key and --data are needed", {
      next: "e.g. --key BSS.1 --data .muster/BSS.1",
    });
  const log = (line: string) => console.error(`${key}: ${line}`);
  const ended = endRequested();
  const folder = await claimFolder(data, key);
  try {
    const fleet = await connect(agent === undefined ? {} : { agent });
    try {
      const server = await kind.start({ key, folder, fleet, log, options: values });
      try {
        log(server.serves);
        log(`ends: ${await Promise.race([ended, ...(server.failed === undefined ? [] : [server.failed])])}`);
        await server.leave();
      } finally {
        await server.close();
      }
    } finally {
      await within(rollMsMax, fleet.close());
    }
  } finally {
    await folder.release();
  }
}

/** The life of one server process: claim the data, start, get on the roll, serve until told to end, get off the roll, drain. */
export async function runServer(kind: ServerKind): Promise<void> {
  try {
    await run(kind);
    process.exitCode = 0;
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? `${String(thrown.code)}: ` : "";
    const next = thrown instanceof Error && "next" in thrown && thrown.next !== undefined ? ` (${String(thrown.next)})` : "";
    console.error(`error: ${code}${messageOf(thrown)}${next}`);
    process.exitCode = 1;
  }
  // A connection that somebody keeps open must not hold the process.
  setTimeout(() => process.exit(), 1000).unref();
}
