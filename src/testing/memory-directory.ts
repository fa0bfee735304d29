import { FleetHandle, answerQuery } from "../fleet/index.ts";
import { type Clock, type JsonValue, SeededRandom, SystemClock, type Telemetry, silentTelemetry } from "../kernel/index.ts";
import { type Preset, RollNode, presets } from "../roll/index.ts";
import { MemoryStore } from "../storage/index.ts";
import type { Transport } from "../transport/index.ts";

export interface MemoryDirectoryOptions {
  readonly clock?: Clock;
  readonly telemetry?: Telemetry;
  /** With a name the directory is that host's agent, at 127.0.0.1 unless routes are given. */
  readonly host?: string;
  readonly routes?: readonly string[];
  readonly preset?: Preset;
}

const nobody: Transport = {
  listen: () => Promise.reject(new Error("this directory listens nowhere")),
  connect: () => Promise.reject(new Error("this directory connects to nobody")),
};

/**
 * A fleet of one node, all in memory: the real directory on a store that forgets, with the real lookups, writes and
 * events. For tests of what stands on a fleet, without a socket.
 */
export async function memoryDirectory(options: MemoryDirectoryOptions = {}): Promise<FleetHandle> {
  const { clock = new SystemClock(), telemetry = silentTelemetry, host, routes = ["127.0.0.1"], preset = "test" } = options;
  const answers: { query: (verb: string, args: unknown) => JsonValue } = { query: () => null };
  const node = new RollNode(
    {
      role: "directory",
      name: host ?? "directory",
      periods: { ...presets[preset], foundingMs: 1 },
      ...(host === undefined ? {} : { routes }),
    },
    {
      clock,
      random: new SeededRandom(1),
      transport: nobody,
      telemetry,
      store: new MemoryStore(),
      query: (verb, args) => answers.query(verb, args),
    },
  );
  const handle = new FleetHandle(node, telemetry);
  answers.query = (verb, args) => answerQuery(handle, verb, args);
  await node.start();
  await node.ready();
  // The directory admits itself as the host's agent by a change of its own, right after it is ready.
  while (host !== undefined && handle.get("host-route", `${host}.${routes.length - 1}`) === undefined)
    await new Promise<void>((resolve) => clock.turn(resolve));
  return handle;
}
