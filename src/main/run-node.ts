import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AgentRun, DirectoryRun, NodeRun, Output, RelayRun } from "../cli/index.ts";
import type { PrometheusMeter } from "../doors/index.ts";
import { FleetHandle, QueryAnswers, answerQuery } from "../fleet/index.ts";
import { MusterError, SystemClock, SystemRandom, type Telemetry } from "../kernel/index.ts";
import { type NodeOptions, type NodePorts, RollNode, presets } from "../roll/index.ts";
import { LmdbStore, MemoryStore, type Store } from "../storage/index.ts";
import { type Address, TcpTransport, formatAddress, isLoopback, parseAddress } from "../transport/index.ts";
import { startDuties } from "./agent-duties.ts";
import { fleetSecret, readSecret, secretFile } from "./fleet-secret.ts";
import { startProbes } from "./node-probing.ts";
import { SystemProcessProbe, ownProcess } from "./process-probe.ts";

/** What the runners need of the process around them. */
export interface RunSurroundings {
  readonly stdout: Output;
  readonly telemetry: Telemetry;
  readonly meter: PrometheusMeter;
  readonly version: string;
}

/** Where links are taken when nothing else is said. */
const listenDefault = "127.0.0.1:7550";

interface Running {
  readonly handle: FleetHandle;
  readonly listen: readonly string[];
  /** Ends with the process. */
  readonly closers: (() => Promise<void>)[];
}

function storeOf(run: DirectoryRun): Store {
  if (run.store === "memory") return new MemoryStore();
  if (run.store === "lmdb") return new LmdbStore({ directory: run.data, companions: ["directory.sock", secretFile] });
  throw new MusterError("main/unknown-store", `there is no store "${run.store}"`, { next: "use lmdb or memory" });
}

/** Beyond loopback a link needs TLS, which is not there yet: only `--plaintext` allows it. */
function checkReach(address: Address, plaintext: boolean): void {
  if (isLoopback(address) || plaintext) return;
  throw new MusterError("main/plaintext-refused", `${formatAddress(address)} is beyond loopback, and links are not encrypted yet`, {
    next: "listen on 127.0.0.1, or accept plain links on a network that you trust: --plaintext",
  });
}

/** The parents' addresses; a plain link to one beyond loopback has to be allowed like one from there. */
function parentsOf(run: RelayRun | AgentRun): readonly Address[] {
  const parents = run.parents.map(parseAddress);
  for (const parent of parents) checkReach(parent, run.plaintext);
  return parents;
}

function portsOf(telemetry: Telemetry, hooks: NodePorts["hook"]): Omit<NodePorts, "store" | "query"> {
  return {
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport: new TcpTransport(),
    telemetry,
    processes: new SystemProcessProbe(),
    ...(hooks === undefined ? {} : { hook: hooks }),
  };
}

/** Builds the node and its handle; the two know each other only through the query port. */
function buildNode(options: NodeOptions, ports: Omit<NodePorts, "query" | "queryBytes">): FleetHandle {
  const answers = new QueryAnswers(() => handle);
  const node = new RollNode(options, {
    ...ports,
    query: (verb, args) => answerQuery(handle, verb, args),
    queryBytes: (verb, args) => answers.answer(verb, args),
  });
  // Nobody can ask before the node listens, and that is later.
  const handle = new FleetHandle(node, ports.telemetry);
  return handle;
}

async function listenOn(running: Running & { listen: string[] }, text: string, plaintext: boolean): Promise<void> {
  const address = parseAddress(text);
  checkReach(address, plaintext);
  if (address.kind === "unix") mkdirSync(dirname(address.path), { recursive: true, mode: 0o700 });
  const listener = await running.handle.node.listen(address);
  running.listen.push(formatAddress(listener.address));
}

/** Opens everything that a node is reached by, prints it, and runs until `stop`. */
async function serveNode(
  handle: FleetHandle,
  run: NodeRun,
  where: {
    readonly role: string;
    readonly listen: readonly string[];
    readonly socket: readonly string[];
    /** The addresses of the host's routes, for its agent. */
    readonly routes: readonly string[];
    /** Once the node has started, so its data folder is its own. */
    readonly started?: () => void;
  },
  surroundings: RunSurroundings,
  stop: AbortSignal,
): Promise<number> {
  const { stdout, telemetry } = surroundings;
  const running = { handle, listen: [] as string[], closers: [] as (() => Promise<void>)[] };
  try {
    await handle.node.start();
    where.started?.();
    for (const address of where.listen) await listenOn(running, address, run.plaintext);
    const probes = await startProbes(handle, { preset: run.preset, routes: where.routes, listen: running.listen }, telemetry);
    running.closers.push(async () => probes.close());
    const socket = await listenOnFirstFree(running, where.socket);
    const duties = await startDuties(handle, run, surroundings);
    running.closers.push(() => duties.close());
    if (run.plaintext) telemetry.log("warn", "plaintext", { next: "links are not encrypted: use this on trusted networks only" });
    for (const address of running.listen.filter((text) => text !== socket)) stdout.write(`${where.role}: links on ${address}\n`);
    if (socket !== undefined) stdout.write(`${where.role}: programs on ${socket}\n`);
    if (duties.http !== undefined) stdout.write(`${where.role}: http on ${duties.http}\n`);
    await untilStopped(stop, handle, () => stdout.write(`${where.role}: ready\n`));
    return 0;
  } finally {
    for (const close of running.closers.toReversed()) await close();
    await handle.close();
  }
}

async function listenOnFirstFree(running: Running & { listen: string[] }, candidates: readonly string[]): Promise<string | undefined> {
  for (const [index, candidate] of candidates.entries())
    try {
      await listenOn(running, candidate, true);
      return running.listen.at(-1);
    } catch (thrown) {
      const taken = thrown instanceof MusterError && thrown.code === "transport/address-in-use";
      if (!taken || index === candidates.length - 1) throw thrown;
    }
  return undefined;
}

async function untilStopped(stop: AbortSignal, handle: FleetHandle, ready: () => void): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener("abort", () => resolve(), { once: true });
  });
  await Promise.race([stopped, handle.node.ready(stop).then(ready, () => undefined)]);
  await stopped;
}

function hookRunner(run: NodeRun, telemetry: Telemetry): NodePorts["hook"] {
  return (name, lapse) => {
    const command = run.hooks[name];
    if (command === undefined) {
      telemetry.log("warn", "hook-not-configured", { name, table: lapse.table, key: lapse.key });
      return;
    }
    void import("./hook.ts").then(({ runHook }) => runHook(command, lapse, telemetry));
  };
}

export async function runDirectory(run: DirectoryRun, surroundings: RunSurroundings, stop: AbortSignal): Promise<number> {
  const { telemetry } = surroundings;
  if (run.peers.length > 0)
    throw new MusterError("main/no-peers", "several directories of one fleet are not supported yet", {
      next: "start one directory without --peer; its fleet's lookups go on while it is restarted",
    });
  const host = run.host === undefined ? {} : { routes: run.routes, attributes: run.attributes };
  const secret = fleetSecret(run.secret, run.store === "memory" ? undefined : run.data, new SystemRandom());
  const handle = buildNode(
    {
      role: "directory",
      name: run.host ?? "directory",
      periods: presets[run.preset],
      plaintext: run.plaintext,
      mappings: run.mappings,
      secret: secret.hex,
      process: ownProcess(),
      ...host,
    },
    { ...portsOf(telemetry, hookRunner(run, telemetry)), store: storeOf(run) },
  );
  const socket = run.socket === undefined ? [join(".muster", "directory.sock"), join(run.data, "directory.sock")] : [run.socket];
  const where = { role: "directory", listen: [run.listen ?? listenDefault], socket, routes: run.routes, started: () => secret.keep() };
  return serveNode(handle, run, where, surroundings, stop);
}

export async function runRelay(run: RelayRun, surroundings: RunSurroundings, stop: AbortSignal): Promise<number> {
  const { telemetry } = surroundings;
  const random = new SystemRandom();
  const handle = buildNode(
    {
      role: "relay",
      name: `relay-${random.hex(8)}`,
      parents: parentsOf(run),
      periods: presets[run.preset],
      plaintext: run.plaintext,
      process: ownProcess(),
      ...(run.secret === undefined ? {} : { secret: readSecret(run.secret) }),
    },
    portsOf(telemetry, hookRunner(run, telemetry)),
  );
  const socket = run.socket === undefined ? [] : [run.socket];
  return serveNode(handle, run, { role: "relay", listen: [run.listen ?? listenDefault], socket, routes: [] }, surroundings, stop);
}

export async function runAgent(run: AgentRun, surroundings: RunSurroundings, stop: AbortSignal): Promise<number> {
  const { telemetry } = surroundings;
  const handle = buildNode(
    {
      role: "agent",
      name: run.host,
      parents: parentsOf(run),
      routes: run.routes,
      attributes: run.attributes,
      periods: presets[run.preset],
      plaintext: run.plaintext,
      process: ownProcess(),
      ...(run.secret === undefined ? {} : { secret: readSecret(run.secret) }),
    },
    portsOf(telemetry, hookRunner(run, telemetry)),
  );
  const own = join(".muster", `agent-${run.host}.sock`);
  const socket = run.socket === undefined ? [join(".muster", "agent.sock"), own] : [run.socket];
  const listen = run.listen === undefined ? [] : [run.listen];
  return serveNode(handle, run, { role: `agent ${run.host}`, listen, socket, routes: run.routes }, surroundings, stop);
}
