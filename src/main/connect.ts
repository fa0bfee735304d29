import { existsSync } from "node:fs";
import { FleetHandle, type Fleet, type OpenTelemetryApi, OpenTelemetrySpans } from "../fleet/index.ts";
import { MusterError, SystemClock, SystemRandom, type Telemetry, silentTelemetry } from "../kernel/index.ts";
import { type Preset, RollNode, presets } from "../roll/index.ts";
import { LmdbStore } from "../storage/index.ts";
import { TcpTransport, UdpDatagrams, parseAddress } from "../transport/index.ts";
import { ownProcess } from "./process-probe.ts";
import { WorkerPulse } from "./worker-pulse.ts";

export interface ConnectOptions {
  /** The host's agent: the path of its socket, or `H:P`. Default: `MUSTER_AGENT`, else the sockets below `.muster/`. */
  readonly agent?: string;
  /** Instead of an agent: directories or relays to follow directly. */
  readonly parents?: readonly string[];
  /** Tables to hold; default all. An empty list holds none: then `query` asks the agent. */
  readonly tables?: readonly string[];
  /** How this program is called in logs and status; default its script's name. */
  readonly name?: string;
  /** Give up when no replica is there after this long; default 5,000 ms. */
  readonly timeoutMs?: number;
  readonly preset?: Preset;
  /**
   * Where the heartbeats of what is served come from. `thread` (default): a worker thread that watches the main loop, so that a
   * busy program is `stalled`, not dead; costs some 20 MB. `loop`: the main loop itself.
   */
  readonly heartbeats?: "thread" | "loop";
  /**
   * Whether what is asked of several servers at once may go out by multicast, and be heard so, where that is found to arrive (IPv4, one hop,
   * only on networks over which this program has links to them). `from`: only what is asked of so many servers or more, 3 at least; default 8, because links
   * are as quick for fewer. Default true; the links are there in any case.
   */
  readonly multicast?: boolean | { readonly from: number };
  readonly telemetry?: Telemetry;
  /**
   * The application's `@opentelemetry/api`: then requests and handlers are recorded as spans, and what a handler asks for is part of its
   * own. Without it traces that callers give are passed on all the same, and nothing is recorded.
   */
  readonly openTelemetry?: OpenTelemetryApi;
}

/** Where an agent is looked for when nothing else is said, below the working folder. */
export const defaultSockets = ["./.muster/agent.sock", "./.muster/directory.sock"] as const;

/**
 * Connects this program to its host's agent (or to directories and relays) and resolves when its replica is whole.
 * Rejects with `fleet/no-agent` when nobody answers in time; the error says what was tried and why it failed.
 */
export async function connect(options: ConnectOptions = {}): Promise<Fleet> {
  const { timeoutMs = 5000, telemetry = silentTelemetry } = options;
  const addresses = parentsOf(options);
  const clock = new SystemClock();
  const name = options.name ?? programName();
  const pulse = options.heartbeats === "loop" ? {} : { pulse: new WorkerPulse(name, telemetry) };
  const { multicast: asked = true } = options;
  const from = typeof asked === "boolean" ? {} : { multicastFrom: asked.from };
  const multicast = asked === false ? {} : { datagrams: new UdpDatagrams(), ...from };
  const node = new RollNode(
    {
      role: "client",
      name,
      parents: addresses.map((address) => parseAddress(address)),
      periods: presets[options.preset ?? "lan"],
      process: ownProcess(),
      ...(options.tables === undefined ? {} : { want: options.tables.map((table) => ({ table, prefix: "" })) }),
    },
    { clock, random: new SystemRandom(), transport: new TcpTransport(), telemetry, ...pulse, ...multicast },
  );
  await node.start();
  const limit = new AbortController();
  const timer = clock.schedule(timeoutMs, () => limit.abort());
  try {
    await node.ready(limit.signal);
  } catch {
    const why = node.lastError;
    await node.close();
    throw new MusterError("fleet/no-agent", `no agent answers at ${addresses.join(", ")}${why === undefined ? "" : `: ${why.message}`}`, {
      next: "start one (muster agent --parent H:P --host NAME --route ADDR), or name it: --agent PATH or MUSTER_AGENT",
      cause: why,
    });
  } finally {
    timer.cancel();
  }
  const tracer = options.openTelemetry === undefined ? undefined : new OpenTelemetrySpans(options.openTelemetry);
  return new FleetHandle(node, telemetry, (directory) => new LmdbStore({ directory }), tracer);
}

function parentsOf(options: ConnectOptions): readonly string[] {
  if (options.parents !== undefined && options.parents.length > 0) return options.parents;
  const named = options.agent ?? process.env["MUSTER_AGENT"];
  if (named !== undefined && named !== "") return [named];
  const present = defaultSockets.filter((path) => existsSync(path));
  const [first] = present.length > 0 ? present : defaultSockets;
  return [first];
}

function programName(): string {
  const script = process.argv[1] ?? "program";
  return script.slice(script.lastIndexOf("/") + 1).slice(0, 100);
}
