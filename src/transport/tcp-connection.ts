import type { Socket } from "node:net";
import type { Address } from "./address.ts";
import { connectionError } from "./errors.ts";
import type { Connection, ConnectionHandlers } from "./transport.ts";

/** After `end`, a peer that takes nothing for this long, or took everything and does not close its side, is cut off. */
const lingerMs = 2000;

/** One TCP or unix socket behind the port. */
export class TcpConnection implements Connection {
  readonly peer: Address;
  readonly local: Address;
  readonly #socket: Socket;
  #handlers: ConnectionHandlers | undefined;
  #error: Error | undefined;
  #behind = false;
  #ended = false;
  #closed = false;

  constructor(socket: Socket, peer: Address, local: Address) {
    this.#socket = socket;
    this.peer = peer;
    this.local = local;
    socket.on("error", (error) => {
      this.#error = connectionError(peer, error);
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#handlers?.close(this.#error);
    });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  open(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#closed) {
      process.nextTick(() => handlers.close(this.#error));
      return;
    }
    this.#socket.on("drain", () => {
      // Node also says so of a write that the system took at once.
      if (!this.#behind) return;
      this.#behind = false;
      handlers.drain();
    });
    // What arrives after our own `end` is read, so that the peer's end is seen, and dropped.
    this.#socket.on("data", (chunk) => {
      if (!this.#ended) handlers.data(chunk);
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.#socket.destroyed) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > 0) this.#behind = true;
  }

  pause(): void {
    if (!this.#ended) this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#ended || this.#socket.destroyed) return;
    this.#ended = true;
    this.#socket.end();
    this.#socket.resume();
    this.#linger(this.#socket.writableLength);
  }

  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #linger(leftBytes: number): void {
    const socket = this.#socket;
    const look = () => {
      const { writableLength } = socket;
      if (writableLength > 0 && writableLength < leftBytes) this.#linger(writableLength);
      else socket.destroy();
    };
    const timer = setTimeout(look, lingerMs);
    timer.unref();
    socket.once("close", () => clearTimeout(timer));
  }
}
