import type { Socket } from "node:net";
import type { Address } from "./address.ts";
import { connectionError } from "./errors.ts";
import type { Connection, ConnectionHandlers } from "./transport.ts";

/** How long a peer that does not close its side may hold ours after `end`. */
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
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs);
    timer.unref();
    this.#socket.once("close", () => clearTimeout(timer));
  }

  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }
}
