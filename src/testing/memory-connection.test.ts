import assert from "node:assert/strict";
import { test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { type Connection, type Transport, formatAddress } from "../transport/index.ts";
import { memoryPair } from "./memory-connection.ts";
import { transportConformance } from "./transport-conformance.ts";

/** Just enough of a network around the pair for the suite that every transport passes. */
function memoryTransport(chunkBytesMax: number): Transport {
  const listeners = new Map<string, (connection: Connection) => void>();
  let lastPort = 0;
  return {
    listen: async (address, accept) => {
      const bound = address.kind === "tcp" && address.port === 0 ? { ...address, port: ++lastPort } : address;
      const name = formatAddress(bound);
      if (listeners.has(name)) throw new MusterError("transport/address-in-use", `${name} is already in use`);
      listeners.set(name, accept);
      return {
        address: bound,
        close: async () => {
          if (listeners.get(name) === accept) listeners.delete(name);
        },
      };
    },
    connect: async (address) => {
      const accept = listeners.get(formatAddress(address));
      if (accept === undefined)
        throw new MusterError("transport/refused", `nobody listens on ${formatAddress(address)}`, { next: "listen there first" });
      const { near, far } = memoryPair({ near: { kind: "tcp", host: "near", port: ++lastPort }, far: address, chunkBytesMax });
      accept(far);
      return near;
    },
  };
}

for (const chunkBytesMax of [997, 100_000])
  transportConformance(`in memory, chunks of ${chunkBytesMax}`, async () => ({
    transport: memoryTransport(chunkBytesMax),
    address: { kind: "tcp", host: "far", port: 0 },
    nobody: { kind: "tcp", host: "far", port: 9999 },
    settle: (promise) => promise,
    close: async () => {},
  }));

test("a view kept beyond its call is overwritten, so that a careless reader is found out", async () => {
  const { near, far } = memoryPair();
  let kept: Uint8Array | undefined;
  const silent = { drain: () => {}, close: () => {} };
  near.open({ data: () => {}, ...silent });
  far.open({ data: (chunk) => (kept = chunk), ...silent });
  near.write(Uint8Array.of(1, 2, 3));
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual([...(kept ?? [])], [0xdd, 0xdd, 0xdd]);
});

test("a connection that breaks tells both sides the error, once", () => {
  const { near, far } = memoryPair();
  const told: (Error | undefined)[] = [];
  const handlers = { data: () => {}, drain: () => {}, close: (error?: Error) => void told.push(error) };
  near.open(handlers);
  far.open(handlers);
  const error = new Error("cut");
  near.breakOff(error);
  near.destroy();
  assert.deepEqual(told, [error, error]);
});
