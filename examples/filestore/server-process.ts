import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type ClaimedFolder, claimFolder } from "./data-folder.ts";
import { StoreError, messageOf, codeOf } from "./errors.ts";
import { type Handler, HttpListener, parseListenAddresses } from "./http-server.ts";
import { type Fleet, type ServedEntry, connect } from "./muster.ts";

/** How long requests under way may go on after SIGTERM. */
const drainMsMax = 8000;

/** How long the roll is waited for at the end: the agent may be gone already, and then it finds out by itself. */
const rollMsMax = 2000;
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
  readonly handler: Handler;
  /** After the last request was answered. */
  close(): Promise<void>;
}

export interface ServerKind {
  /** The table that its servers are entered in. */
  readonly table: string;
  /** Its clients may stand still for so long. */
  readonly idleMs: number;
  /** Extra options of the command line, with their defaults. */
  readonly options?: Readonly<Record<string, string>>;
  start(given: ServerArguments): Promise<RunningServer>;
}

/** Waits for the work, but not for longer than `limitMs`; its failure does not matter any more. */
async function within(limitMs: number, work: Promise<unknown>): Promise<void> {
  const limit = new AbortController();
  await Promise.race([work.catch(() => {}), delay(limitMs, undefined, { signal: limit.signal }).catch(() => {})]);
  limit.abort();
}

/**
 * Puts the server on the roll. After a crash of the whole host, the entry of its last life stands for its agent's grace (5 s)
 * more, because that program could still come back: whoever holds the data folder knows better, and waits.
 */
async function enterRoll(fleet: Fleet, table: string, key: string, port: number): Promise<ServedEntry> {
  const startedMs = performance.now();
  for (;;) {
    try {
      return await fleet.serve(table, key, { port, maxPeriodMs: 3000 });
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
      listen: { type: "string", default: "127.0.0.1:0" },
      agent: { type: "string" },
    },
  });
  const { key, data, listen, agent } = values;
  if (key === undefined || data === undefined)
    throw new StoreError(400, "filestore/usage", "--key and --data are needed", {
      next: "e.g. --key BSS.1 --data .muster/BSS.1 --listen 127.1.8.1:7200",
    });
  const log = (line: string) => console.error(`${key}: ${line}`);
  const ended = endRequested();
  const folder = await claimFolder(data, key);
  try {
    const fleet = await connect(agent === undefined ? {} : { agent });
    try {
      const server = await kind.start({ key, folder, fleet, log, options: values });
      try {
        const listener = await HttpListener.listen(parseListenAddresses(listen ?? ""), server.handler, { idleMs: kind.idleMs, log });
        // Listening first: whoever finds the entry can call at once.
        const entry = await enterRoll(fleet, kind.table, key, listener.port);
        log(`serves on port ${listener.port} as ${kind.table} ${key}`);
        log(`ends: ${await ended}`);
        await within(rollMsMax, entry.close());
        await listener.close(drainMsMax);
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
