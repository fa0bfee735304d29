import { markAsUntransferable } from "node:worker_threads";

/** A slab holds some hundred small bodies; whoever keeps one of them for long keeps its slab. */
const slabBytes = 16 * 1024;
/** From here on a body has memory of its own. */
const largeBytes = 2 * 1024;

/**
 * Memory for bodies of bytes. What has arrived is lent for the time of the call, so a body is copied; small ones share their memory, because
 * memory of its own for each costs ten times the copy. Each is used once and never again, so a body is its receiver's own; what is shared
 * cannot be handed over to another thread. One for each connection: whoever copies the memory of one body whole copies what else the same peer
 * has sent, and nobody else's.
 */
export class BodySlab {
  #slab: Uint8Array<ArrayBuffer> | undefined;
  /** Its memory: asking a view for it costs as much as making one. */
  #memory = new ArrayBuffer(0);
  #end = 0;

  /** `bytes` from `from` on. */
  copy(bytes: Uint8Array, from: number): Uint8Array {
    const length = bytes.length - from;
    if (length > largeBytes || length === 0) return new Uint8Array(bytes.subarray(from));
    let slab = this.#slab;
    if (slab === undefined || this.#end + length > slabBytes) {
      slab = new Uint8Array(slabBytes);
      markAsUntransferable(slab.buffer);
      this.#slab = slab;
      this.#memory = slab.buffer;
      this.#end = 0;
    }
    const start = this.#end;
    slab.set(from === 0 ? bytes : bytes.subarray(from), start);
    // Views of larger numbers must begin at their multiples.
    this.#end = (start + length + 7) & ~7;
    return new Uint8Array(this.#memory, start, length);
  }
}
