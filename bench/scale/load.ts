import { connect } from "node:net";
import { type BenchContext, type BenchResult, percentile, ratioOf, resultOf, sorted } from "../bench.ts";
import { clientOf } from "../nodes.ts";
import { keyOf, table, valueOf } from "./entries.ts";

const entries = 10_000;
const loads = 20;
const runs = 5;
const peerRuns = 3;
const putsAtOnce = 200;

type Load = () => Promise<number>;

/** The median of some loads, in milliseconds. */
async function loadedMs(name: string, load: Load, times = loads): Promise<number> {
  const took: number[] = [];
  for (let run = 0; run < times; run++) {
    const startMs = performance.now();
    const loaded = await load();
    took.push(performance.now() - startMs);
    if (loaded !== entries) throw new Error(`${name}: ${loaded} entries instead of ${entries}`);
  }
  return percentile(sorted(took), 50);
}

/** Reads the frames into a Map, each value parsed. */
function loadFloor(port: number): Promise<number> {
  const map = new Map<string, unknown>();
  let rest: Buffer | undefined;
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", reject);
    socket.on("close", () => resolve(map.size));
    socket.on("data", (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (bytes.length - at >= 6) {
        const end = at + 4 + bytes.readUInt32LE(at);
        if (end > bytes.length) break;
        const valueAt = at + 6 + bytes.readUInt16LE(at + 4);
        map.set(bytes.toString("utf8", at + 6, valueAt), JSON.parse(bytes.toString("utf8", valueAt, end)));
        at = end;
      }
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    });
  });
}

async function etcdLoad(context: BenchContext): Promise<Load | undefined> {
  if (!(await context.debian(["etcd-server"]))) return undefined;
  const require = await context.peers();
  const [port, peerPort] = [await context.port(), await context.port()];
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
  const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`, "--log-level", "error"];
  await context.server("etcd", ["--data-dir", context.folder(), ...urls, ...cluster], port);
  const { Etcd3 } = require("etcd3");
  const etcd = new Etcd3({ hosts: client });
  context.cleanup(() => etcd.close());
  await inGroups(async (index) => etcd.put(`load/${keyOf(index)}`).value(JSON.stringify(valueOf(index))));
  return async () => {
    const found: Readonly<Record<string, string>> = await etcd.getAll().prefix("load/").strings();
    return new Map(Object.entries(found).map(([key, text]) => [key, JSON.parse(text)])).size;
  };
}

async function natsLoad(context: BenchContext): Promise<Load | undefined> {
  if (!(await context.debian(["nats-server"]))) return undefined;
  const require = await context.peers();
  const port = await context.port();
  await context.server("nats-server", ["-js", "-sd", context.folder(), "-a", "127.0.0.1", "-p", String(port)], port);
  const { connect: connectNats } = require("@nats-io/transport-node");
  const { Kvm } = require("@nats-io/kv");
  const connection = await connectNats({ servers: `127.0.0.1:${port}` });
  context.cleanup(() => connection.close());
  const bucket = await new Kvm(connection).create("load", { storage: "memory" });
  await inGroups((index) => bucket.put(keyOf(index), JSON.stringify(valueOf(index))));
  return async () => {
    const map = new Map<string, unknown>();
    for await (const entry of await bucket.watch()) {
      map.set(entry.key, entry.json());
      if (entry.delta === 0) break;
    }
    return map.size;
  };
}

async function inGroups(put: (index: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < entries; first += putsAtOnce)
    await Promise.all(Array.from({ length: putsAtOnce }, (_, index) => put(first + index)));
}

async function peerResult(context: BenchContext, name: string, open: (context: BenchContext) => Promise<Load | undefined>) {
  context.log(name);
  const load = await open(context);
  if (load === undefined) return [];
  const { ms } = await context.repeat(peerRuns, async () => ({ ms: await loadedMs(name, load, 8) }));
  return [resultOf(`${name}, p50`, "ms", ms, { peer: true })];
}

/** A fresh node takes a roll of 10,000 entries over a link; the floor and the peers parse each entry into a Map. */
export async function loadResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const label = `load of ${entries.toLocaleString("en")} entries`;
  context.log(label);
  const script = new URL("source.ts", import.meta.url);
  const [floorChild, child] = [context.child(script, ["floor", entries]), context.child(script, ["muster", entries])];
  const port = Number(await floorChild.call("place"));
  const place = String(await child.call("place"));
  const replica: Load = async () => {
    const client = await clientOf(place);
    const loaded = client.tables().find(({ name }) => name === table)?.entries ?? 0;
    client.close().catch((error: unknown) => context.log(String(error)));
    return loaded;
  };
  await loadedMs("floor", () => loadFloor(port));
  await loadedMs("muster", replica);
  const sample = await context.repeat(runs, async () => ({
    floor: await loadedMs("floor", () => loadFloor(port)),
    replica: await loadedMs("muster", replica),
  }));
  await Promise.all([floorChild.kill(), child.kill()]);
  return [
    resultOf(`${label} by a fresh node, p50`, "ms", sample.replica),
    resultOf(`${label}, framed TCP + JSON.parse into a Map, p50`, "ms", sample.floor, { peer: true }),
    resultOf(`${label}, fresh node ÷ framed TCP`, "×", ratioOf(sample.replica, sample.floor), { goal: { max: 2 } }),
    ...(await peerResult(context, `${label}, etcd getAll`, etcdLoad)),
    ...(await peerResult(context, `${label}, NATS KV watch`, natsLoad)),
  ];
}
