import { type Socket, connect, createServer } from "node:net";
import { type OpenWatcher, type Source, numberOf, valueOf } from "./source.ts";

/**
 * The floor: bare TCP, one frame for all sockets, the frames of a turn joined. Every watcher reads the frame (length, length
 * of the key, key, value) and sets its own Map, as a replica must at least; nothing is stored, checked or repeated.
 */
const headBytes = 6;
const key = "svc.1";

function frameOf(value: string): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + key.length + value.length);
  frame.writeUInt32LE(2 + key.length + value.length, 0);
  frame.writeUInt16LE(key.length, 4);
  frame.write(key, headBytes, "latin1");
  frame.write(value, headBytes + key.length, "latin1");
  return frame;
}

export async function floorSource(port: number): Promise<Source> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen({ port, host: "127.0.0.1", backlog: 2000 }, resolve));
  let turn: Buffer[] = [];
  const flush = () => {
    const bytes = turn.length === 1 ? (turn[0] ?? Buffer.alloc(0)) : Buffer.concat(turn);
    turn = [];
    for (const socket of sockets) socket.write(bytes);
  };
  return {
    place: String(port),
    write: (number) => {
      if (turn.push(frameOf(valueOf(number))) === 1) setImmediate(flush);
      return Promise.resolve(number);
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export const openFloor: OpenWatcher = (place, told) => {
  const map = new Map<string, string>();
  let rest: Buffer | undefined;
  const take = (chunk: Buffer) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= headBytes) {
      const end = at + 4 + bytes.readUInt32LE(at);
      if (end > bytes.length) break;
      const valueAt = at + headBytes + bytes.readUInt16LE(at + 4);
      const value = bytes.toString("utf8", valueAt, end);
      map.set(bytes.toString("utf8", at + headBytes, valueAt), value);
      told(numberOf(value));
      at = end;
    }
    rest = at < bytes.length ? bytes.subarray(at) : undefined;
  };
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port: Number(place) }, resolve);
    socket.once("error", reject);
    socket.on("data", take);
  });
};
