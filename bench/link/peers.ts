import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { type BenchContext, peerRequire } from "../bench.ts";

/**
 * What others ask and answer with. Both sides of each stand here side by side: `serve` runs in the child, `connect` in the
 * process that measures. The packages are reached by `require`, so that they are no dependencies of this repository.
 */
export interface Peer {
  readonly name: string;
  /** The key by which the child finds the server. */
  readonly kind: string;
  serve(ports: readonly number[]): Promise<void>;
  /** Asks with `body` and resolves to the number of bytes answered. */
  connect(ports: readonly number[], body: Buffer, concurrency: number): Promise<Asking>;
}

export interface Asking {
  ask(): Promise<number>;
  close(): unknown;
}

const address = (port: number | undefined): string => `127.0.0.1:${port}`;

const undici: Peer = {
  name: "undici HTTP/1.1, a connection for each request in flight",
  kind: "undici",
  serve: ([port]) => {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const body = parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts);
        response.writeHead(200, { "content-length": body.length });
        response.end(body);
      });
    });
    return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  },
  connect: async ([port], body, concurrency) => {
    const { Pool } = peerRequire("undici");
    const pool = new Pool(`http://${address(port)}`, { connections: Math.min(concurrency, 64), pipelining: 1 });
    return {
      ask: async () => {
        const answer = await pool.request({ path: "/", method: "POST", body });
        const { byteLength } = await answer.body.arrayBuffer();
        return byteLength;
      },
      close: () => pool.destroy(),
    };
  },
};

const same = (bytes: Buffer): Buffer => bytes;

const grpc: Peer = {
  name: "grpc-js, raw bytes on one channel",
  kind: "grpc",
  serve: ([port]) => {
    const { Server, ServerCredentials } = peerRequire("@grpc/grpc-js");
    const server = new Server();
    const codec = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
    server.addService(
      { echo: { path: "/bench.Echo/Echo", requestStream: false, responseStream: false, ...codec } },
      { echo: (call: { request: Buffer }, callback: (error: null, answer: Buffer) => void) => callback(null, call.request) },
    );
    return new Promise((resolve, reject) => {
      server.bindAsync(address(port), ServerCredentials.createInsecure(), (error: Error | null) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  },
  connect: async ([port], body) => {
    const { Client, credentials } = peerRequire("@grpc/grpc-js");
    const client = new Client(address(port), credentials.createInsecure());
    return {
      ask: () =>
        new Promise((resolve, reject) => {
          client.makeUnaryRequest("/bench.Echo/Echo", same, same, body, (error: Error | null, answer: Buffer) => {
            if (error === null) resolve(answer.length);
            else reject(error);
          });
        }),
      close: () => client.close(),
    };
  },
};

/** A service with one unary method on `{ bytes data = 1 }`, without a code generator. */
function echoService(): unknown {
  const { create, createFileRegistry } = peerRequire("@bufbuild/protobuf");
  const { FileDescriptorSetSchema } = peerRequire("@bufbuild/protobuf/wkt");
  const messageType = [{ name: "Body", field: [{ name: "data", jsonName: "data", number: 1, type: 12, label: 1 }] }];
  const service = [{ name: "Echo", method: [{ name: "Echo", inputType: ".bench.Body", outputType: ".bench.Body" }] }];
  const file = [{ name: "bench.proto", package: "bench", syntax: "proto3", messageType, service }];
  return createFileRegistry(create(FileDescriptorSetSchema, { file })).getService("bench.Echo");
}

interface Router {
  service(service: unknown, handlers: unknown): void;
}

const connectNode: Peer = {
  name: "connect-node, Connect protocol on HTTP/2",
  kind: "connect",
  serve: ([port]) => {
    const { connectNodeAdapter } = peerRequire("@connectrpc/connect-node");
    const routes = (router: Router): void => router.service(echoService(), { echo: (body: { data: Uint8Array }) => ({ data: body.data }) });
    const server = createHttp2Server(connectNodeAdapter({ routes }));
    return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  },
  connect: async ([port], body) => {
    const { createClient } = peerRequire("@connectrpc/connect");
    const { createConnectTransport, Http2SessionManager } = peerRequire("@connectrpc/connect-node");
    const baseUrl = `http://${address(port)}`;
    const sessionManager = new Http2SessionManager(baseUrl);
    const client = createClient(echoService(), createConnectTransport({ baseUrl, httpVersion: "2", sessionManager }));
    return {
      ask: async () => {
        const { data } = await client.echo({ data: body });
        return data.length;
      },
      close: () => sessionManager.abort(),
    };
  },
};

function moleculerBroker(nodeID: string, ports: readonly number[]): unknown {
  const { ServiceBroker } = peerRequire("moleculer");
  const urls = [`tcp://${address(ports[0])}/server`, `tcp://${address(ports[1])}/client`];
  return new ServiceBroker({ nodeID, logger: false, transporter: { type: "TCP", options: { udpDiscovery: false, urls } } });
}

interface Broker {
  createService(schema: unknown): void;
  start(): Promise<void>;
  stop(): Promise<void>;
  waitForServices(name: string, timeoutMs: number, everyMs: number): Promise<void>;
  call(action: string, parameters: unknown): Promise<string>;
}

function parseBroker(broker: unknown): Broker {
  return broker as Broker;
}

const moleculer: Peer = {
  name: "Moleculer, TCP transporter, JSON",
  kind: "moleculer",
  serve: async (ports) => {
    const broker = parseBroker(moleculerBroker("server", ports));
    broker.createService({ name: "echo", actions: { echo: (context: { params: { text: string } }) => context.params.text } });
    await broker.start();
  },
  connect: async (ports, body) => {
    const broker = parseBroker(moleculerBroker("client", ports));
    await broker.start();
    await broker.waitForServices("echo", 20_000, 50);
    const text = body.toString();
    return {
      ask: async () => {
        const answer = await broker.call("echo.echo", { text });
        return answer.length;
      },
      close: () => broker.stop(),
    };
  },
};

interface NatsMessage {
  readonly data: Uint8Array;
  respond(data: Uint8Array): void;
}

const nats: Peer = {
  name: "NATS request/reply",
  kind: "nats",
  serve: async ([port]) => {
    const { connect } = peerRequire("@nats-io/transport-node");
    const connection = await connect({ servers: address(port) });
    connection.subscribe("echo", { queue: "servers", callback: (_error: unknown, message: NatsMessage) => message.respond(message.data) });
    await connection.flush();
  },
  connect: async ([port], body) => {
    const { connect } = peerRequire("@nats-io/transport-node");
    const connection = await connect({ servers: address(port) });
    return {
      ask: async () => {
        const { data } = await connection.request("echo", body, { timeout: 5000 });
        return data.length;
      },
      close: () => connection.close(),
    };
  },
};

export const peers: readonly Peer[] = [moleculer, undici, nats, grpc, connectNode];

/** NATS needs its server between the two; the others need nothing. Undefined where it cannot be had. */
export async function startBroker(
  context: BenchContext,
  peer: Peer,
): Promise<{ readonly ports: readonly number[]; readonly pids: readonly number[] } | undefined> {
  const ports = [await context.port(), await context.port()];
  if (peer.kind !== "nats") return { ports, pids: [] };
  if (!(await context.debian(["nats-server"]))) return undefined;
  const port = await context.port();
  const server = await context.server("nats-server", ["-a", "127.0.0.1", "-p", String(port)], port);
  return { ports: [port], pids: [server.pid] };
}
