import { type FleetHandle, NodeProbes } from "../fleet/index.ts";
import { SystemClock, SystemRandom, type Telemetry } from "../kernel/index.ts";
import { probePresets } from "../routes/index.ts";
import { TcpTransport, UdpDatagrams, isLoopback, parseAddress } from "../transport/index.ts";
import { LinkState } from "./link-state.ts";

export interface ProbingRun {
  readonly preset: "lan" | "wan" | "test";
  /** The addresses of the host's routes; empty for a node that is no host's agent. */
  readonly routes: readonly string[];
  /** Where this node takes links, as `H:P`; the first says where probes are answered. */
  readonly listen: readonly string[];
}

export interface Probing {
  close(): void;
}

/** Probes the routes around a node over real sockets, and watches the interfaces of its own, from now until `close`. */
export async function startProbes(handle: FleetHandle, run: ProbingRun, telemetry: Telemetry): Promise<Probing> {
  const listen = run.listen.map(parseAddress).find(({ kind }) => kind === "tcp");
  const place = listen?.kind === "tcp" ? listen : { host: "127.0.0.1", port: 0 };
  const clock = new SystemClock();
  const probes = new NodeProbes(handle.node, {
    clock,
    random: new SystemRandom(),
    telemetry,
    datagrams: new UdpDatagrams(),
    transport: new TcpTransport(),
    periods: probePresets[run.preset],
    addresses: run.routes.length > 0 ? run.routes : [place.host],
    port: place.port,
  });
  handle.probes = probes;
  // Loopback has no cable.
  const addresses = run.routes.filter((host) => !isLoopback({ kind: "tcp", host, port: 0 }));
  const links = new LinkState({ addresses, clock, telemetry, report: (address, up) => probes.interface(address, up) });
  await probes.start();
  await links.start();
  return {
    close: () => {
      links.close();
      probes.close();
    },
  };
}
