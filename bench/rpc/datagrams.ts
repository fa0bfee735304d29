import { type Socket, createSocket } from "node:dgram";
import type { Asking } from "../link/peers.ts";

/** The floor of a request to all: bare datagrams over the loopback interface, nothing checked, nothing sent again. */
const group = "239.255.77.77";
const loopback = "127.0.0.1";
const againMs = 200;

function bound(port: number, address: string): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, () => resolve(socket));
  });
}

export async function serveDatagrams(port: number, begun: () => void): Promise<void> {
  const socket = await bound(port, "0.0.0.0");
  socket.addMembership(group, loopback);
  socket.on("message", (bytes, from) => {
    begun();
    socket.send(bytes, from.port, from.address);
  });
}

/** Asks again after a lost answer, so that a loop ends; the first answer to each request counts. */
export async function connectDatagrams(port: number, body: Buffer): Promise<Asking> {
  const socket = await bound(0, loopback);
  socket.setMulticastInterface(loopback);
  const waiting = new Map<number, { readonly bytes: Buffer; resolve(length: number): void }>();
  socket.on("message", (answer) => {
    const id = answer.readUInt32LE(0);
    waiting.get(id)?.resolve(answer.length);
    waiting.delete(id);
  });
  const again = setInterval(() => {
    for (const { bytes } of waiting.values()) socket.send(bytes, port, group);
  }, againMs);
  let lastId = 0;
  return {
    ask: () =>
      new Promise((resolve) => {
        const id = ++lastId;
        const bytes = Buffer.from(body);
        bytes.writeUInt32LE(id, 0);
        waiting.set(id, { bytes, resolve });
        socket.send(bytes, port, group);
      }),
    close: () => {
      clearInterval(again);
      socket.close();
    },
  };
}
