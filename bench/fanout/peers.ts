import { type BenchContext, peerRequire } from "../bench.ts";
import { type OpenWatcher, type Source, numberOf, valueOf } from "./source.ts";

const subject = "watched.svc.1";

export async function natsSource(context: BenchContext): Promise<Source | undefined> {
  if (!(await context.debian(["nats-server"]))) return undefined;
  const require = await context.peers();
  const port = await context.port();
  const server = await context.server("nats-server", ["-a", "127.0.0.1", "-p", String(port)], port);
  const { connect } = require("@nats-io/transport-node");
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  return {
    place: String(port),
    write: (number) => {
      connection.publish(subject, valueOf(number));
      return Promise.resolve(number);
    },
    close: async () => {
      await connection.close();
      await server.stop();
    },
  };
}

export const openNats: OpenWatcher = async (place, told) => {
  const { connect } = peerRequire("@nats-io/transport-node");
  const connection = await connect({ servers: `127.0.0.1:${place}` });
  const map = new Map<string, string>();
  connection.subscribe(subject, {
    callback: (_error: unknown, message: { readonly subject: string; string(): string }) => {
      const value = message.string();
      map.set(message.subject, value);
      told(numberOf(value));
    },
  });
  await connection.flush();
};

export async function etcdSource(context: BenchContext): Promise<Source | undefined> {
  if (!(await context.debian(["etcd-server"]))) return undefined;
  const require = await context.peers();
  const [port, peerPort] = [await context.port(), await context.port()];
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  const urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer];
  const cluster = ["--initial-advertise-peer-urls", peer, "--initial-cluster", `default=${peer}`, "--log-level", "error"];
  const server = await context.server("etcd", ["--data-dir", context.folder(), ...urls, ...cluster], port);
  const { Etcd3 } = require("etcd3");
  const etcd = new Etcd3({ hosts: client });
  return {
    place: client,
    write: async (number) => {
      await etcd.put(subject).value(valueOf(number));
      return number;
    },
    close: async () => {
      etcd.close();
      await server.stop();
    },
  };
}

export const openEtcd: OpenWatcher = async (place, told) => {
  const { Etcd3 } = peerRequire("etcd3");
  const map = new Map<string, string>();
  const watcher = await new Etcd3({ hosts: place }).watch().key(subject).create();
  watcher.on("put", ({ key, value }: { readonly key: Buffer; readonly value: Buffer }) => {
    const text = value.toString();
    map.set(key.toString(), text);
    told(numberOf(text));
  });
};
