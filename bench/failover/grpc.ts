import { peerRequire } from "../bench.ts";
import { type Contender, arrangeAlone, deadlineMs, hostsPlace, portOf, serverOf, serviceTimeMs } from "./contender.ts";

const path = "/bench.Work/Do";
const asIs = (bytes: Buffer) => bytes;

/** A fixed list in turn, a retry policy for what was not delivered, and keepalive to find dead connections. */
const channelOptions = {
  "grpc.service_config": JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: "0.01s",
          maxBackoff: "0.1s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
        },
      },
    ],
  }),
  "grpc.keepalive_time_ms": 1000,
  "grpc.keepalive_timeout_ms": 500,
  "grpc.keepalive_permit_without_calls": 1,
};

export const grpc: Contender = {
  name: "grpc-js, retry policy and keepalive",
  peer: true,
  debian: [],
  arrange: arrangeAlone,
  settle: (hosts) => ({ place: hostsPlace(hosts, []), programs: [] }),
  serve: async (place, index) => {
    const library = peerRequire("@grpc/grpc-js");
    const server = new library.Server();
    const method = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    const handle = (_call: unknown, answer: (error: null, bytes: Buffer) => void) =>
      void setTimeout(() => answer(null, Buffer.from("done")), serviceTimeMs);
    server.addService({ do: method }, { do: handle });
    await new Promise<void>((resolve, reject) => {
      const bound = (error: Error | null) => (error === null ? resolve() : reject(error));
      server.bindAsync(`${place.listen}:${portOf(serverOf(place, index))}`, library.ServerCredentials.createInsecure(), bound);
    });
  },
  call: ({ servers }) => {
    const library = peerRequire("@grpc/grpc-js");
    const client = new library.Client(`ipv4:${servers.join(",")}`, library.credentials.createInsecure(), channelOptions);
    const empty = Buffer.alloc(0);
    return Promise.resolve(
      () =>
        new Promise((resolve, reject) => {
          const answered = (error: Error | null, bytes: Buffer) => (error === null ? resolve(bytes) : reject(error));
          client.makeUnaryRequest(path, asIs, asIs, empty, new library.Metadata(), { deadline: Date.now() + deadlineMs }, answered);
        }),
    );
  },
};
