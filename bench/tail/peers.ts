import { peerRequire, sleepMs } from "../bench.ts";
import { type Contender, deadlineMs, portOf, servers } from "./contender.ts";

const path = "/bench.Work/Do";
const empty = Buffer.alloc(0);
const asIs = (bytes: Buffer) => bytes;

const hedging = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    { name: [{}], hedgingPolicy: { maxAttempts: servers, hedgingDelay: "0.003s", nonFatalStatusCodes: ["UNAVAILABLE", "INTERNAL"] } },
  ],
};

export const grpc: Contender = {
  name: "grpc-js, hedging policy of 3 attempts, 3 ms",
  peer: true,
  needs: "ports",
  serve: async (place, index, work) => {
    const library = peerRequire("@grpc/grpc-js");
    const server = new library.Server();
    const codec = { requestSerialize: asIs, requestDeserialize: asIs, responseSerialize: asIs, responseDeserialize: asIs };
    const handle = (_call: unknown, answer: (error: null, bytes: Buffer) => void) => void work().then(() => answer(null, empty));
    server.addService({ do: { path, requestStream: false, responseStream: false, ...codec } }, { do: handle });
    await new Promise<void>((resolve, reject) => {
      const bound = (error: Error | null) => (error === null ? resolve() : reject(error));
      server.bindAsync(`127.0.0.1:${portOf(place, index)}`, library.ServerCredentials.createInsecure(), bound);
    });
  },
  call: (place) => {
    const library = peerRequire("@grpc/grpc-js");
    const addresses = Array.from({ length: servers }, (_, index) => `127.0.0.1:${portOf(place, index)}`);
    const options = { "grpc.service_config": JSON.stringify(hedging) };
    const client = new library.Client(`ipv4:${addresses.join(",")}`, library.credentials.createInsecure(), options);
    return Promise.resolve(
      () =>
        new Promise((resolve, reject) => {
          const answered = (error: Error | null, bytes: Buffer) => (error === null ? resolve(bytes) : reject(error));
          client.makeUnaryRequest(path, asIs, asIs, empty, new library.Metadata(), { deadline: Date.now() + deadlineMs }, answered);
        }),
    );
  },
};

const meshWithinMs = 25_000;
const action = "work.do";

/** It has no hedging; a short time-out and a quick retry come nearest. `index`: of the server; the caller comes last. */
function moleculerBroker({ ports }: { readonly ports: readonly number[] }, index: number) {
  const names = [...Array.from({ length: servers }, (_, server) => `server${server}`), "caller"];
  const urls = names.map((name, node) => `tcp://127.0.0.1:${ports[node]}/${name}`);
  const { ServiceBroker } = peerRequire("moleculer");
  return new ServiceBroker({
    nodeID: names[index],
    namespace: "bench",
    logger: false,
    transporter: { type: "TCP", options: { udpDiscovery: false, urls } },
    requestTimeout: 5,
    retryPolicy: {
      enabled: true,
      retries: 5,
      delay: 1,
      factor: 1,
      check: (error?: { readonly retryable?: boolean }) => error?.retryable === true,
    },
  });
}

export const moleculer: Contender = {
  name: "Moleculer TCP, time-out of 5 ms, 5 retries",
  peer: true,
  needs: "ports",
  serve: async (place, index, work) => {
    const broker = moleculerBroker(place, index);
    const handler = async () => {
      await work();
      return "done";
    };
    broker.createService({ name: "work", actions: { do: handler } });
    await broker.start();
  },
  call: async (place) => {
    const broker = moleculerBroker(place, servers);
    await broker.start();
    const untilMs = performance.now() + meshWithinMs;
    while ((broker.registry.getActionEndpoints(action)?.endpoints.length ?? 0) < servers) {
      if (performance.now() > untilMs) throw new Error(`Moleculer's nodes did not find each other within ${meshWithinMs} ms`);
      await sleepMs(50);
    }
    return () => broker.call(action, {});
  },
};

interface NatsMessage {
  respond(data: Uint8Array): void;
}

export const nats: Contender = {
  name: "NATS, all three answer and the first counts",
  peer: true,
  needs: "broker",
  serve: async (place, _index, work) => {
    const { connect } = peerRequire("@nats-io/transport-node");
    const connection = await connect({ servers: `127.0.0.1:${portOf(place, 0)}` });
    const callback = (_error: unknown, message: NatsMessage) => void work().then(() => message.respond(empty));
    connection.subscribe(action, { callback });
    await connection.flush();
  },
  call: async (place) => {
    const { connect } = peerRequire("@nats-io/transport-node");
    const connection = await connect({ servers: `127.0.0.1:${portOf(place, 0)}` });
    return () => connection.request(action, empty, { timeout: deadlineMs });
  },
};
