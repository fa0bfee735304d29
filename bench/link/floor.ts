import { type Socket, connect, createServer } from "node:net";

/**
 * The floor: length-prefixed frames over bare TCP with the writes of a turn joined, nothing checked, nothing limited, no
 * deadlines. Its server sends whole frames back in one write without looking into them.
 */
export function serveFloor(port: number): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    let rest: Buffer | undefined;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (bytes.length - at >= 8) {
        const whole = 8 + bytes.readUInt32LE(at);
        if (bytes.length - at < whole) break;
        at += whole;
      }
      if (at > 0) socket.write(bytes.subarray(0, at));
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    });
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
}

export interface Floor {
  ask(body: Buffer): Promise<Buffer>;
  close(): void;
}

export async function connectFloor(port: number): Promise<Floor> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opening = connect({ host: "127.0.0.1", port, noDelay: true }, () => resolve(opening));
    opening.once("error", reject);
  });
  const waiting = new Map<number, (answer: Buffer) => void>();
  let lastId = 0;
  let rest: Buffer | undefined;
  let queue: Buffer[] = [];
  socket.on("data", (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 8) {
      const length = bytes.readUInt32LE(at);
      if (bytes.length - at < 8 + length) break;
      const id = bytes.readUInt32LE(at + 4);
      const resolve = waiting.get(id);
      waiting.delete(id);
      resolve?.(bytes.subarray(at + 8, at + 8 + length));
      at += 8 + length;
    }
    rest = at < bytes.length ? bytes.subarray(at) : undefined;
  });
  const flush = () => {
    const frames = queue;
    queue = [];
    socket.write(frames.length === 1 ? (frames[0] ?? Buffer.alloc(0)) : Buffer.concat(frames));
  };
  const ask = (body: Buffer): Promise<Buffer> =>
    new Promise((resolve) => {
      const frame = Buffer.allocUnsafe(8 + body.length);
      frame.writeUInt32LE(body.length, 0);
      lastId = (lastId + 1) >>> 0;
      frame.writeUInt32LE(lastId, 4);
      body.copy(frame, 8);
      waiting.set(lastId, resolve);
      if (queue.push(frame) === 1) process.nextTick(() => queueMicrotask(flush));
    });
  return { ask, close: () => socket.destroy() };
}
