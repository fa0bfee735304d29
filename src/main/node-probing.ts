import { FleetHandle, NodeProbes } from "../fleet/index.ts";
import { SystemClock, SystemRandom, type Telemetry } from "../kernel/index.ts";
import { probePresets } from "../routes/index.ts";
import { TcpTransport, UdpDatagrams, parseAddress } from "../transport/index.ts";

export interface ProbingRun {
  readonly preset: "lan" | "wan" | "test";
  /** The addresses of the host's routes; empty for a node that is no host's agent. */
  readonly routes: readonly string[];
  /** Where this node takes links, as `H:P`; the first says where probes are answered. */
  readonly listen: readonly string[];
}

/** Probes the routes around a node over real sockets, from now until `close`. */
export async function startProbes(handle: FleetHandle, run: ProbingRun, telemetry: Telemetry): Promise<NodeProbes> {
  const listen = run.listen.map(parseAddress).find(({ kind }) => kind === "tcp");
  const place = listen?.kind === "tcp" ? listen : { host: "127.0.0.1", port: 0 };
  const probes = new NodeProbes(handle.node, {
    clock: new SystemClock(),
    random: new SystemRandom(),
    telemetry,
    datagrams: new UdpDatagrams(),
    transport: new TcpTransport(),
    periods: probePresets[run.preset],
    addresses: run.routes.length > 0 ? run.routes : [place.host],
    port: place.port,
  });
  handle.probes = probes;
  await probes.start();
  return probes;
}
