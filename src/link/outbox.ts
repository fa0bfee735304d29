import type { Connection } from "../transport/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { drainAboveBytes } from "./options.ts";

/** A shared frame from this size on is written by itself; below it a copy is cheaper than a second write. */
const ownWriteBytes = 4096;
/**
 * A turn that gathers more than this writes in between, so that the peer works on the first part while this side goes on: with 64
 * requests in flight that is worth half as many again. Each part is four times as large as the one before, because every write costs
 * as much as a dozen small messages.
 */
const earlyWriteBytes = 4096;
const earlyWriteGrowth = 4;
/** From here on parts grow no more: memory stays small. */
const partBytesMax = 256 * 1024;
/** A turn waits for so many promises that follow one another: whoever works between two of them must not hold back the others for long. */
const promisesMax = 8;

export interface OutboxHandlers {
  /** Everything is gone after more than `drainAboveBytes` had been waiting. */
  drain(): void;
  /** More than `bytesMax` wait although they were offered to the system. */
  overflow(bufferedBytes: number): void;
}

/** What one turn of the event loop sends, joined: one write for all small frames of a turn is worth a factor of six. Decision 021. */
export class Outbox {
  /** Where frames are written; whoever writes calls `schedule` afterwards. */
  readonly writer = new ByteWriter();
  readonly #connection: Connection;
  readonly #bytesMax: number;
  readonly #handlers: OutboxHandlers;
  /** Whole frames of others, and what was written before them. */
  #pieces: Uint8Array[] = [];
  #piecesBytes = 0;
  #scheduled = false;
  /** What may gather before this turn writes for the next time. */
  #writeAboveBytes = earlyWriteBytes;
  #promises = 0;
  #drainOwed = false;
  #closed = false;

  constructor(connection: Connection, bytesMax: number, handlers: OutboxHandlers) {
    this.#connection = connection;
    this.#bytesMax = bytesMax;
    this.#handlers = handlers;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes + this.#piecesBytes + this.writer.length;
  }

  /** Adds a frame that many links share; it is not copied where that costs no additional write. */
  add(frame: Uint8Array): void {
    const { writer } = this;
    const alone = this.#piecesBytes + writer.length === 0;
    if (alone || frame.length >= ownWriteBytes) {
      if (writer.length > 0) this.#push(writer.take());
      this.#push(frame);
    } else {
      this.#joinFirst();
      writer.bytes(frame);
    }
  }

  /**
   * Flushes at the end of this turn: after its microtasks and some that follow from them, so that what continues on an answer through a few
   * promises is still joined. This is about the order of events within one turn, not about time, so it does not go through the clock.
   * What comes first in a turn waits for what follows, whatever its size.
   */
  schedule(): void {
    if (this.#scheduled) {
      if (this.#piecesBytes + this.writer.length <= this.#writeAboveBytes) return;
      this.#writeAboveBytes = Math.min(this.#writeAboveBytes * earlyWriteGrowth, partBytesMax);
      this.flush();
      return;
    }
    this.#scheduled = true;
    process.nextTick(this.#afterMicrotasks);
  }

  readonly #afterMicrotasks = (): void => {
    this.#promises = 0;
    this.#afterPromise();
  };

  readonly #afterPromise = (): void => {
    this.#promises++;
    queueMicrotask(this.#promises < promisesMax ? this.#afterPromise : this.#flushScheduled);
  };

  readonly #flushScheduled = (): void => {
    this.#scheduled = false;
    this.#writeAboveBytes = earlyWriteBytes;
    this.flush();
  };

  flush(): void {
    const length = this.#piecesBytes + this.writer.length;
    if (length === 0 || this.#closed) return;
    if (length + this.#connection.bufferedBytes > drainAboveBytes) this.#drainOwed = true;
    this.#write();
    if (!this.#drainOwed) return;
    const { bufferedBytes } = this.#connection;
    if (bufferedBytes === 0) queueMicrotask(() => this.drained());
    else if (bufferedBytes > this.#bytesMax) this.#handlers.overflow(bufferedBytes);
  }

  /** The connection has written everything. */
  drained(): void {
    if (!this.#drainOwed || this.#closed || this.bufferedBytes > 0) return;
    this.#drainOwed = false;
    this.#handlers.drain();
  }

  /** Writes what there is; nothing is written afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#write();
    this.#closed = true;
  }

  #write(): void {
    if (this.#pieces.length > 0) {
      const pieces = this.#pieces;
      this.#pieces = [];
      this.#piecesBytes = 0;
      for (const piece of pieces) this.#connection.write(piece);
    }
    if (this.writer.length > 0) this.#connection.write(this.writer.take());
  }

  #push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#piecesBytes += piece.length;
  }

  /** A small frame that was alone so far is copied in front of the second one. */
  #joinFirst(): void {
    const first = this.#pieces[0];
    if (first === undefined || this.#pieces.length > 1 || this.writer.length > 0 || first.length >= ownWriteBytes) return;
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.writer.bytes(first);
  }
}
