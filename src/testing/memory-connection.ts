import type { Address, Connection, ConnectionHandlers } from "../transport/index.ts";

export interface MemoryPairOptions {
  /** When a delivery happens; default the next microtask. A test that wants to look in between gives its own queue. */
  readonly defer?: (callback: () => void) => void;
  /** Cuts what is written into chunks of at most this many bytes; default: as written. */
  readonly chunkBytesMax?: number;
  readonly near?: Address;
  readonly far?: Address;
}

const somewhere: Address = { kind: "unix", path: "./memory.sock" };

/** Two ends of one connection in one process: no sockets, no timers, the same order of events in every run. */
export function memoryPair(options: MemoryPairOptions = {}): { readonly near: MemoryConnection; readonly far: MemoryConnection } {
  const near = new MemoryConnection(options.near ?? somewhere, options.far ?? somewhere, options);
  const far = new MemoryConnection(options.far ?? somewhere, options.near ?? somewhere, options);
  near.joinTo(far);
  far.joinTo(near);
  return { near, far };
}

export class MemoryConnection implements Connection {
  readonly local: Address;
  readonly peer: Address;
  readonly #defer: (callback: () => void) => void;
  readonly #chunkBytesMax: number;
  /** Written by us, not yet delivered to the other side. */
  readonly #queue: Uint8Array[] = [];
  #other: MemoryConnection | undefined;
  #handlers: ConnectionHandlers | undefined;
  #queuedBytes = 0;
  #wantsDrain = false;
  #paused = false;
  #ending = false;
  #closed = false;
  #deferred = false;

  constructor(local: Address, peer: Address, options: MemoryPairOptions) {
    this.local = local;
    this.peer = peer;
    this.#defer = options.defer ?? queueMicrotask;
    this.#chunkBytesMax = options.chunkBytesMax ?? Number.POSITIVE_INFINITY;
  }

  joinTo(other: MemoryConnection): void {
    this.#other = other;
  }

  get bufferedBytes(): number {
    return this.#queuedBytes;
  }

  open(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#closed) this.#defer(() => handlers.close());
    this.#pumpOther();
  }

  write(bytes: Uint8Array): void {
    if (this.#ending || this.#closed) return;
    for (let at = 0; at < bytes.length; at += this.#chunkBytesMax) this.#queue.push(bytes.subarray(at, at + this.#chunkBytesMax));
    this.#queuedBytes += bytes.length;
    this.#wantsDrain = true;
    this.#pump();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#pumpOther();
  }

  end(): void {
    if (this.#closed) return;
    this.#ending = true;
    this.#pump();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#close();
    const other = this.#other;
    this.#defer(() => {
      if (other !== undefined) other.#close();
    });
  }

  /** Breaks the connection as a network would: both sides are told `error`. */
  breakOff(error: Error): void {
    this.#close(error);
    if (this.#other !== undefined) this.#other.#close(error);
  }

  #pumpOther(): void {
    if (this.#other !== undefined) this.#other.#pump();
  }

  #pump(): void {
    if (this.#deferred || this.#closed || (this.#queue.length === 0 && !this.#ending)) return;
    this.#deferred = true;
    this.#defer(() => {
      this.#deferred = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const other = this.#other;
    if (other === undefined || this.#closed || other.#handlers === undefined) return;
    // A side that has itself ended reads on, so that it sees the end, and drops what it reads.
    while (this.#queue.length > 0 && (!other.#paused || other.#ending) && !other.#closed) {
      const chunk = this.#queue.shift();
      if (chunk === undefined) break;
      this.#queuedBytes -= chunk.length;
      // A copy that is overwritten afterwards: whoever keeps a view of a chunk is found out.
      const lent = Uint8Array.from(chunk);
      if (!other.#ending) other.#handlers.data(lent);
      lent.fill(0xdd);
    }
    if (this.#queue.length > 0) return;
    if (this.#wantsDrain) {
      this.#wantsDrain = false;
      this.#handlers?.drain();
    }
    if (this.#ending && !this.#closed) {
      this.#close();
      other.#finishAfterPeer();
    }
  }

  /** The other side has ended: what we still have queued goes nowhere. */
  #finishAfterPeer(): void {
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#close();
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers?.close(error);
  }
}
