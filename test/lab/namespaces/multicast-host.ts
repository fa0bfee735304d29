import { readFileSync } from "node:fs";
import { FleetHandle } from "../../../src/fleet/index.ts";
import { type Labels, SystemClock, SystemRandom, type Telemetry, isRecord, silentTelemetry } from "../../../src/kernel/index.ts";
import { type NodeOptions, RollNode } from "../../../src/roll/index.ts";
import { MemoryStore } from "../../../src/storage/index.ts";
import { TcpTransport, UdpDatagrams, parseAddress } from "../../../src/transport/index.ts";

/**
 * One host of a fleet that asks by multicast: `multicast-host.ts ROLE NAME ADDRESS PARENT`. A directory keeps the roll; an agent serves
 * `MDS.n.1`; a client gathers as often as it is told (`{ gathers }`) and tells how long each took and how many packets it sent.
 */
export interface GatherReport {
  readonly tookMs: readonly number[];
  /** Answers that did not come. */
  readonly missing: number;
  /** Of the host's interface. */
  readonly packets: number;
  readonly bytes: number;
  readonly datagrams: number;
  readonly repeated: number;
}

const [role, name = "", address = "", parent = ""] = process.argv.slice(2);
const counts = new Map<string, number>();
const telemetry: Telemetry = {
  ...silentTelemetry,
  count: (counter: string, by = 1, _labels?: Labels) => void counts.set(counter, (counts.get(counter) ?? 0) + by),
};

async function start(options: NodeOptions): Promise<FleetHandle> {
  const store = options.role === "directory" ? { store: new MemoryStore() } : {};
  const ports = {
    clock: new SystemClock(),
    random: new SystemRandom(),
    transport: new TcpTransport(),
    datagrams: new UdpDatagrams(),
    multicastFrom: 3,
  };
  const node = new RollNode({ ...options, plaintext: true }, { ...ports, telemetry, ...store });
  await node.start();
  return new FleetHandle(node, telemetry);
}

function sent(of: "packets" | "bytes"): number {
  return Number(readFileSync(`/sys/class/net/eth1/statistics/tx_${of}`, "utf8"));
}

function counted(counter: string): number {
  return counts.get(`muster_request_${counter}_total`) ?? 0;
}

async function measure(fleet: FleetHandle, gathers: number): Promise<GatherReport> {
  const tookMs: number[] = [];
  let missing = 0;
  const before = [sent("packets"), sent("bytes"), counted("datagrams"), counted("multicast_repeated")] as const;
  for (let count = 0; count < gathers; count++) {
    const startMs = performance.now();
    const gathered = await fleet.gather("MDS", "look", { path: `/files/${count}` });
    tookMs.push(performance.now() - startMs);
    missing += gathered.missing.length;
  }
  return {
    tookMs,
    missing,
    packets: sent("packets") - before[0],
    bytes: sent("bytes") - before[1],
    datagrams: counted("datagrams") - before[2],
    repeated: counted("multicast_repeated") - before[3],
  };
}

const parents = parent === "" ? [] : [parseAddress(parent)];
if (role === "directory") {
  const fleet = await start({ role, name });
  await fleet.node.listen(parseAddress(`${address}:7550`));
} else if (role === "agent") {
  const fleet = await start({ role, name, routes: [address], parents });
  await fleet.node.ready();
  const handle = (body: unknown) => Promise.resolve({ by: name, found: body !== null });
  await fleet.serve("metadata", `MDS.${address.slice(address.lastIndexOf(".") + 1)}.1`, {
    port: 0,
    types: { look: { effect: "read", handle } },
  });
} else {
  const fleet = await start({ role: "client", name, parents });
  await fleet.node.ready();
  process.on("message", (order: unknown) => {
    if (isRecord(order) && typeof order["gathers"] === "number")
      void measure(fleet, order["gathers"]).then((report) => process.send?.(report));
  });
}
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
