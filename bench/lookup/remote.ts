import { writeFileSync } from "node:fs";
import { Resolver } from "node:dns/promises";
import path from "node:path";
import { SeededRandom, randomBelow } from "../../src/kernel/index.ts";
import { type BenchContext, type BenchResult, resultOf } from "../bench.ts";

/**
 * What a program asks when the directory is in another process: the same 1,000 services of three servers each, one question at a
 * time, parsed. One client process, one server process on the same machine.
 */
const services = 1000;
const runs = 3;

const instance = (service: number, server: number) => ({
  id: `svc${service}-${server}`,
  host: `127.0.0.1${server}`,
  port: 10_000 + server,
  meta: { zone: "a", version: "1.2.3" },
});

/** Asks for random services, one after the other, and gives the median time of a question. */
async function asked(context: BenchContext, name: string, ask: (service: number) => Promise<number>): Promise<BenchResult> {
  context.log(name);
  const random = new SeededRandom(7);
  const sample = await context.repeat(runs, async () => {
    const { p50Ms, errors } = await context.closedLoop(async () => {
      if ((await ask(randomBelow(random, services))) !== 3) throw new Error("not three servers");
    });
    if (errors > 0) throw new Error(`${name}: ${errors} questions failed`);
    return { us: p50Ms * 1000 };
  });
  return resultOf(`${name}, p50`, "µs", sample.us, { peer: true });
}

async function natsResults(context: BenchContext): Promise<readonly BenchResult[]> {
  if (!(await context.debian(["nats-server"]))) return [];
  const require = await context.peers();
  const port = await context.port();
  await context.server("nats-server", ["-js", "-sd", context.folder(), "-a", "127.0.0.1", "-p", String(port)], port);
  const { connect } = require("@nats-io/transport-node");
  const { Kvm } = require("@nats-io/kv");
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  const bucket = await new Kvm(connection).create("directory", { storage: "memory" });
  for (let service = 0; service < services; service++)
    await bucket.put(`svc${service}`, JSON.stringify([0, 1, 2].map((server) => instance(service, server))));
  const result = await asked(context, "NATS KV get, 1,000 keys of three servers", async (service) => {
    const entry = await bucket.get(`svc${service}`);
    return entry.json().length;
  });
  await connection.close();
  return [result];
}

async function etcdResults(context: BenchContext): Promise<readonly BenchResult[]> {
  if (!(await context.debian(["etcd-server"]))) return [];
  const require = await context.peers();
  const [port, peerPort] = [await context.port(), await context.port()];
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
  const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`, "--log-level", "error"];
  await context.server("etcd", ["--data-dir", context.folder(), ...urls, ...cluster], port);
  const { Etcd3 } = require("etcd3");
  const etcd = new Etcd3({ hosts: client });
  for (let service = 0; service < services; service++)
    await Promise.all([0, 1, 2].map((server) => etcd.put(`svc/svc${service}/${server}`).value(JSON.stringify(instance(service, server)))));
  const result = await asked(context, "etcd prefix get, 3 of 3,000", async (service) => {
    const found: object = await etcd.getAll().prefix(`svc/svc${service}/`).strings();
    return Object.keys(found).length;
  });
  etcd.close();
  return [result];
}

async function dnsResults(context: BenchContext): Promise<readonly BenchResult[]> {
  if (!(await context.debian(["dnsmasq-base"]))) return [];
  const port = await context.port();
  const folder = context.folder();
  const file = path.join(folder, "dns.conf");
  const lines = [`port=${port}`, "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "local-ttl=0", "user=root"];
  for (let service = 0; service < services; service++)
    for (let server = 0; server < 3; server++)
      lines.push(`srv-host=_svc${service}._tcp.fleet.test,h${server}.fleet.test,${10_000 + server}`);
  for (let server = 0; server < 3; server++) lines.push(`host-record=h${server}.fleet.test,127.0.0.1${server}`);
  writeFileSync(file, lines.join("\n"));
  await context.server("dnsmasq", ["--keep-in-foreground", `--conf-file=${file}`, `--pid-file=${path.join(folder, "pid")}`], port);
  const resolver = new Resolver({ timeout: 1000 });
  resolver.setServers([`127.0.0.1:${port}`]);
  const result = await asked(
    context,
    "DNS SRV (c-ares → dnsmasq)",
    async (service) => (await resolver.resolveSrv(`_svc${service}._tcp.fleet.test`)).length,
  );
  return [result];
}

export async function remoteResults(context: BenchContext): Promise<readonly BenchResult[]> {
  return [...(await natsResults(context)), ...(await etcdResults(context)), ...(await dnsResults(context))];
}
