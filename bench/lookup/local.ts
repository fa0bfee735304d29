import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Finder } from "../../src/find/index.ts";
import { SeededRandom, randomBelow } from "../../src/kernel/index.ts";
import { Replica, tableNumbers } from "../../src/tables/index.ts";
import { type BenchContext, type BenchResult, ratioOf, resultOf } from "../bench.ts";

/** Servers per service, and hosts that they are spread over. */
const serversEach = 3;
const hostCount = 100;
const calls = 1_000_000;
const runs = 7;
const { hosts, hostRoute, metadata } = tableNumbers;

/** What an operation reads of its answer; a 32-bit integer, so that the loop allocates nothing of its own. */
type Operation = (index: number) => number;

/** Which service is asked for next: the same random order for all. */
class Questions {
  readonly names: readonly string[];
  readonly #order: Uint32Array;

  constructor(names: readonly string[]) {
    this.names = names;
    const random = new SeededRandom(7);
    this.#order = Uint32Array.from({ length: 1 << 20 }, () => randomBelow(random, names.length));
  }

  at(call: number): number {
    return this.#order[call & ((1 << 20) - 1)] ?? 0;
  }

  /** Nanoseconds per call, over a million. */
  timeNs(operation: Operation): number {
    let sum = 0;
    const startMs = performance.now();
    for (let call = 0; call < calls; call++) sum = (sum + operation(this.at(call))) | 0;
    const ns = ((performance.now() - startMs) * 1e6) / calls;
    if (sum === 0) throw new Error("the operation read nothing");
    return ns;
  }

  /** Bytes that the heap grew by in a million calls, without those of the loop. */
  allocatedBytes(operation: Operation): number {
    const measure = (measured: Operation) => {
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      this.timeNs(measured);
      return process.memoryUsage().heapUsed - before;
    };
    return Math.max(0, measure(operation) - measure(() => 1));
  }
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}

function replicaOf(services: number): Replica {
  const replica = new Replica();
  replica.begin(1, 1);
  for (let host = 0; host < hostCount; host++) {
    replica.put(hosts, `HOST${host}`, "{}", true, "", 0);
    replica.put(hostRoute, `HOST${host}.0`, `"10.0.0.${host}"`, true, "", 0);
    replica.put(hostRoute, `HOST${host}.1`, `"10.1.0.${host}"`, true, "", 0);
  }
  for (let service = 0; service < services; service++)
    for (let server = 0; server < serversEach; server++) {
      const host = (service * serversEach + server) % hostCount;
      const text = `{"host":"HOST${host}","port":${10_000 + server},"data":{"zone":"a","version":"1.2.3"}}`;
      replica.put(metadata, `svc${service}.${server}`, text, true, "", 0);
    }
  replica.end();
  return replica;
}

/** The floor: what is needed at least when nothing ever changes and there is no host step. */
function mapFloor(services: number, names: readonly string[]): Operation {
  const map = new Map<string, { next: number; readonly list: readonly { readonly port: number }[] }>();
  for (let service = 0; service < services; service++) {
    const list = Array.from({ length: serversEach }, (_, server) => ({
      id: `svc${service}-${server}`,
      host: `127.0.0.1${server}`,
      port: 10_000 + server,
      meta: { zone: "a", version: "1.2.3" },
    }));
    map.set(`svc${service}`, { next: 0, list });
  }
  return (index) => {
    const entry = map.get(names[index] ?? "");
    return entry?.list[entry.next++ % serversEach]?.port ?? 0;
  };
}

/** The floor of a prefix search: a sorted array of keys, one binary search, values beside it. */
function sortedFloor(replica: Replica, prefixes: readonly string[]): Operation {
  const entries = replica.search("metadata");
  const keys = entries.map((entry) => entry.key);
  return (index) => {
    const prefix = prefixes[index] ?? "";
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((keys[middle] ?? "") < prefix) low = middle + 1;
      else high = middle;
    }
    let read = 0;
    for (; keys[low]?.startsWith(prefix) === true; low++) read += entries[low]?.key.length ?? 0;
    return read;
  };
}

async function findResults(context: BenchContext, services: number): Promise<readonly BenchResult[]> {
  const finder = new Finder(replicaOf(services), { ageMs: () => 0 });
  const questions = new Questions(Array.from({ length: services }, (_, service) => `svc${service}`));
  const { names } = questions;
  const floor = mapFloor(services, names);
  const find: Operation = (index) => finder.find("metadata", names[index] ?? "")?.port ?? 0;
  // Asked once with texts of their own, as a program's first question would be; the measured questions are other texts.
  for (let service = 0; service < services; service++) finder.find("metadata", `svc${service}`);
  for (const operation of [floor, find]) questions.timeNs(operation);
  const sample = await context.repeat(runs, async () => ({ floor: questions.timeNs(floor), find: questions.timeNs(find) }));
  const heap = await context.repeat(3, async () => ({ perCall: questions.allocatedBytes(find) / calls }));
  const of = `${services.toLocaleString("en")} services × ${serversEach}`;
  return [
    resultOf(`find(table, service), ${of}`, "ns", sample.find),
    resultOf(`Map get + round robin, ${of}`, "ns", sample.floor, { peer: true }),
    resultOf(`find ÷ (Map get + round robin), ${of}`, "×", ratioOf(sample.find, sample.floor), { goal: { max: 1.4 } }),
    // A garbage collector's own bookkeeping shows as some thousand bytes in a million calls.
    resultOf(`allocated by find, ${of}`, "bytes a call", heap.perCall, { goal: { max: 0.05 } }),
  ];
}

async function searchResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const replica = replicaOf(1000);
  const questions = new Questions(Array.from({ length: 1000 }, (_, service) => `svc${service}.`));
  const { names } = questions;
  const floor = sortedFloor(replica, names);
  const search: Operation = (index) => {
    const found = replica.search("metadata", names[index]);
    return found.length + (found[2]?.key.length ?? 0);
  };
  for (const operation of [floor, search, floor, search]) questions.timeNs(operation);
  const sample = await context.repeat(runs, async () => ({ floor: questions.timeNs(floor), search: questions.timeNs(search) }));
  return [
    resultOf("search(table, prefix), 3 of 3,000", "ns", sample.search, { goal: { max: 300 } }),
    resultOf("sorted array, 3 of 3,000", "ns", sample.floor, { peer: true }),
    resultOf("search ÷ sorted array, 3 of 3,000", "×", ratioOf(sample.search, sample.floor)),
  ];
}

/** Partition and key lookups that stand behind no goal of their own, so that a change for the worse shows. */
async function otherResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const replica = replicaOf(1000);
  replica.begin(1, 2);
  for (let partition = 0; partition < 3; partition++)
    replica.put(tableNumbers.metadataPartition, String(partition), `"svc${partition}"`, true, "", 0);
  replica.end();
  const finder = new Finder(replica, { ageMs: () => 0 });
  const questions = new Questions(Array.from({ length: 3000 }, (_, index) => `svc${index % 1000}.${index % 3}`));
  const { names } = questions;
  const get: Operation = (index) => replica.get("metadata", names[index] ?? "")?.key.length ?? 0;
  const one: Operation = (index) => finder.find("metadata", names[index] ?? "")?.port ?? 0;
  const partition: Operation = (index) => finder.findPartition("metadata-partition", index)?.port ?? 0;
  for (const operation of [get, one, partition]) questions.timeNs(operation);
  const sample = await context.repeat(runs, async () => ({
    get: questions.timeNs(get),
    one: questions.timeNs(one),
    partition: questions.timeNs(partition),
  }));
  return [
    resultOf("get(table, key), 1 of 3,000", "ns", sample.get),
    resultOf("find(table, server instance), 1 of 3,000", "ns", sample.one),
    resultOf("findPartition(table, number) by modulus, 3,000 partitions", "ns", sample.partition),
  ];
}

/** Moleculer's registry in this process: services with one action each, on three nodes; it has no host step. */
async function moleculerResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const require = await context.peers();
  const { ServiceBroker } = require("moleculer");
  const broker = new ServiceBroker({ nodeID: "me", logger: false, transporter: null });
  await broker.start();
  const services = Array.from({ length: 1000 }, (_, service) => `svc${service}`);
  for (const node of [0, 1, 2])
    broker.registry.processNodeInfo({
      ver: "4",
      sender: `n${node}`,
      instanceID: `i${node}`,
      ipList: ["127.0.0.1"],
      hostname: "h",
      port: 1,
      client: {},
      seq: 1,
      config: {},
      metadata: {},
      services: services.map((name) => ({
        name,
        fullName: name,
        settings: {},
        metadata: {},
        actions: { [`${name}.echo`]: { name: `${name}.echo`, rawName: "echo", cache: false } },
        events: {},
      })),
    });
  const questions = new Questions(services.map((name) => `${name}.echo`));
  const { names } = questions;
  const endpoints: Operation = (index) => broker.registry.getActionEndpoints(names[index]).next(null).id.length;
  questions.timeNs(endpoints);
  const sample = await context.repeat(runs, async () => ({ ns: questions.timeNs(endpoints) }));
  await broker.stop();
  return [resultOf("Moleculer getActionEndpoints + next, 1,000 services × 3, no host step", "ns", sample.ns, { peer: true })];
}

export async function localResults(context: BenchContext): Promise<readonly BenchResult[]> {
  const results: BenchResult[] = [];
  for (const services of [1000, 100_000]) {
    context.log(`find among ${services} services`);
    results.push(...(await findResults(context, services)));
  }
  context.log("prefix search and others");
  results.push(...(await searchResults(context)), ...(await otherResults(context)));
  context.log("Moleculer");
  results.push(...(await moleculerResults(context)));
  return results;
}
