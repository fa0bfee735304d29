import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { type DatagramSocket, type Datagrams, type Endpoint, datagramBytesMax } from "../transport/index.ts";

export interface DatagramsUnderTest {
  readonly datagrams: Datagrams;
  /** An address of this host, and one that no host here has. */
  readonly host: string;
  readonly foreign: string;
  /** A multicast group that may be joined, when there is one. */
  readonly group?: Endpoint;
  /** Lets time pass until the promise settles. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Lets what was sent arrive. */
  pass(): Promise<void>;
  close(): Promise<void>;
}

interface End {
  readonly socket: DatagramSocket;
  readonly received: { readonly bytes: Uint8Array; readonly from: Endpoint }[];
}

/** What every datagram port must do, written once: `test/integration` runs it on UDP, the simulator on its network. */
export function datagramConformance(name: string, make: () => Promise<DatagramsUnderTest>): void {
  const scenario = (title: string, run: (under: DatagramsUnderTest, open: (port?: number) => Promise<End>) => Promise<void>) =>
    test(title, { timeout: 20_000 }, async () => {
      const under = await make();
      const ends: End[] = [];
      const open = async (port = 0): Promise<End> => {
        const received: End["received"] = [];
        const keep = (bytes: Uint8Array, from: Endpoint) => received.push({ bytes: bytes.slice(), from });
        const socket = await under.settle(under.datagrams.bind({ host: under.host, port }, keep));
        ends.push({ socket, received });
        return { socket, received };
      };
      try {
        await run(under, open);
      } finally {
        for (const { socket } of ends) socket.close();
        await under.close();
      }
    });

  describe(`datagrams: ${name}`, () => {
    scenario("a message arrives whole, and its sender can be answered", async (under, open) => {
      const [near, far] = [await open(), await open()];
      for (const length of [1, 199, 1200, 9000]) near.socket.send(new Uint8Array(length).fill(length), far.socket.local);
      await under.pass();
      assert.deepEqual(
        far.received.map(({ bytes }) => [bytes.length, bytes.at(0), bytes.at(-1)]),
        [1, 199, 1200, 9000].map((length) => [length, length & 255, length & 255]),
      );
      const [first] = far.received;
      assert.deepEqual(first?.from, near.socket.local);
      far.socket.send(Uint8Array.of(7), first.from);
      await under.pass();
      assert.deepEqual([...(near.received[0]?.bytes ?? [])], [7]);
    });

    scenario("port 0 becomes a port of its own; a port that is taken and an address of others are refused", async (under, open) => {
      const [one, other] = [await open(), await open()];
      assert.ok(one.socket.local.port > 0 && other.socket.local.port > 0);
      assert.notEqual(one.socket.local.port, other.socket.local.port);
      await assert.rejects(open(one.socket.local.port), codeIs("transport/address-in-use"));
      const elsewhere = under.datagrams.bind({ host: under.foreign, port: 0 }, () => {});
      await assert.rejects(under.settle(elsewhere), codeIs("transport/cannot-listen"));
    });

    scenario("sending to nobody, too much, or nowhere is no error, and the socket goes on", async (under, open) => {
      const [near, far, gone] = [await open(), await open(), await open()];
      gone.socket.close();
      near.socket.send(Uint8Array.of(1), gone.socket.local);
      await under.pass();
      near.socket.send(new Uint8Array(datagramBytesMax + 1), far.socket.local);
      near.socket.send(Uint8Array.of(2), { host: "no-such-host.invalid", port: 9 });
      near.socket.send(Uint8Array.of(3), { host: under.host, port: 0 });
      near.socket.send(Uint8Array.of(4), far.socket.local);
      await under.pass();
      assert.deepEqual(
        far.received.map(({ bytes }) => [...bytes]),
        [[4]],
      );
    });

    scenario("what is sent to a group reaches everybody who has joined, and only while they are", async (under, open) => {
      const { group, datagrams } = under;
      if (group === undefined || datagrams.join === undefined) return;
      const near = await open();
      const received: string[] = [];
      const join = (name: string) =>
        under.settle(
          datagrams.join?.(group, [under.host], (bytes, from) => received.push(`${name} ${bytes[0]} ${from.host}`)) ?? Promise.reject(),
        );
      const [one, other] = [await join("one"), await join("other")];
      near.socket.send(Uint8Array.of(1), group);
      await under.pass();
      one.close();
      near.socket.send(Uint8Array.of(2), group);
      await under.pass();
      other.close();
      const { host } = under;
      assert.deepEqual(received.sort(), [`one 1 ${host}`, `other 1 ${host}`, `other 2 ${host}`]);
    });

    scenario("after close nothing is received or sent, and the port is free", async (under, open) => {
      const [near, far] = [await open(), await open()];
      near.socket.send(Uint8Array.of(1), far.socket.local);
      far.socket.close();
      far.socket.close();
      far.socket.send(Uint8Array.of(2), near.socket.local);
      await under.pass();
      assert.deepEqual([near.received, far.received], [[], []]);
      const next = await open(far.socket.local.port);
      assert.equal(next.socket.local.port, far.socket.local.port);
    });
  });
}

function codeIs(code: string): (thrown: unknown) => boolean {
  return (thrown) => thrown instanceof MusterError && thrown.code === code;
}
