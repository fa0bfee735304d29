import path from "node:path";
import { peerRequire } from "../bench.ts";
import { type Contender, hostsPlace, loopbackPlace, serverOf } from "./contender.ts";
import { HttpCaller, Turns, serveHttp } from "./http.ts";

const prefix = "fleet/";
/** The least that this version grants. */
const leaseSeconds = 2;

function etcdArguments(folder: string, listen: string, port: number, peerPort: number): readonly string[] {
  const client = `http://${listen}:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
  const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`, "--log-level", "error"];
  return ["--data-dir", path.join(folder, "etcd"), ...urls, ...cluster];
}

/** Servers hold a lease; the caller watches the list and asks in turn, without a second try. */
export const etcd: Contender = {
  name: `etcd, leases of ${leaseSeconds} s and a watched list`,
  peer: true,
  debian: ["etcd-server"],
  arrange: async (context) => {
    const port = await context.port();
    const args = etcdArguments(context.folder(), "127.0.0.1", port, await context.port());
    const start = () => context.server("etcd", args, port);
    let server = await start();
    return {
      place: await loopbackPlace(context, [`http://127.0.0.1:${port}`]),
      faults: {
        directory: async () => {
          await server.stop();
          server = await start();
        },
      },
      close: () => server.stop(),
    };
  },
  settle: (hosts) => ({
    place: hostsPlace(
      hosts,
      hosts.directory.map((address) => `http://${address}:2379`),
    ),
    programs: [{ host: "directory", command: ["etcd", ...etcdArguments(hosts.folder, "0.0.0.0", 2379, 2380)] }],
  }),
  serve: async (place, index) => {
    await serveHttp(place, index);
    const { Etcd3 } = peerRequire("etcd3");
    const lease = new Etcd3({ hosts: place.control }).lease(leaseSeconds);
    await lease.put(`${prefix}${index}`).value(serverOf(place, index));
  },
  call: async ({ control }, lost) => {
    const { Etcd3 } = peerRequire("etcd3");
    const client = new Etcd3({ hosts: control });
    const known = new Map<string, string>(Object.entries(await client.getAll().prefix(prefix).strings()));
    let servers = [...known.values()];
    const watcher = await client.watch().prefix(prefix).create();
    watcher.on("put", ({ key, value }: { readonly key: Buffer; readonly value: Buffer }) => {
      known.set(key.toString(), value.toString());
      servers = [...known.values()];
    });
    watcher.on("delete", ({ key }: { readonly key: Buffer }) => {
      known.delete(key.toString());
      servers = [...known.values()];
      lost();
    });
    const [caller, turns] = [new HttpCaller(), new Turns()];
    return () => caller.ask(turns.take(servers));
  },
};
