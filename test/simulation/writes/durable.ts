import type { StoreBatch } from "../../../src/storage/index.ts";

/** What is on one server's disk, followed batch by batch: the log, and the stamp of the newest execution in the kept state. */
export class DurableMirror {
  #log = new Map<number, Uint8Array>();
  #logFrom = 0;

  apply(batch: StoreBatch): void {
    for (const { sequence, bytes } of batch.log ?? []) this.#log.set(sequence, bytes.slice());
    if (batch.logFrom === undefined) return;
    this.#logFrom = Math.max(this.#logFrom, batch.logFrom);
    for (const sequence of this.#log.keys()) if (sequence < this.#logFrom) this.#log.delete(sequence);
  }

  /** Whether the entry at `index`, which holds these bytes, would be there after a loss of power. Unknown counts as yes: what was dropped is in the state. */
  holds(index: number, bytes: Uint8Array): boolean {
    if (index < this.#logFrom) return true;
    const record = this.#log.get(index);
    return record !== undefined && Buffer.from(record.buffer, record.byteOffset, record.byteLength).includes(Buffer.from(bytes));
  }
}
