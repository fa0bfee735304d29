import type { StoreBatch } from "../../../src/storage/index.ts";
import { type Mark, epochOfRecord, keptTableOf } from "./stored-format.ts";

/** One record of a log, as it lies on a disk. */
export interface DurableEntry {
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

/** What a batch did to a copy. */
export interface Changed {
  /** The log is no mere continuation of the one before: its end was cut off, other entries stand in its place, or a state came instead. */
  readonly isOther: boolean;
  readonly mark: Mark;
  readonly written: readonly number[];
}

/** Data of one identity, followed batch by batch: what would be there after a loss of power. A disk that was lost held another copy than the one after it. */
export class DurableCopy {
  #mark: Mark | undefined;
  readonly #log = new Map<number, DurableEntry>();
  /** Outcomes and leases by "table/key", of each copy of the state that is in the store. */
  readonly #rows = new Map<number, Map<string, Uint8Array>>();

  /** Those of the copy that counts. */
  get rows(): ReadonlyMap<string, Uint8Array> {
    return this.#rowsOf(this.#mark?.generation ?? 0);
  }

  #rowsOf(generation: number): Map<string, Uint8Array> {
    const rows = this.#rows.get(generation) ?? new Map<string, Uint8Array>();
    this.#rows.set(generation, rows);
    return rows;
  }

  get mark(): Mark | undefined {
    return this.#mark;
  }

  get end(): number {
    return this.#mark?.end ?? 0;
  }

  apply(mark: Mark, batch: StoreBatch): Changed {
    const before = this.#mark;
    let isOther = before !== undefined && (mark.end < before.end || mark.base.index > before.end);
    if (before !== undefined && mark.base.index > before.base.index && this.epochAt(mark.base.index) !== mark.base.epoch) isOther = true;
    // What was cut off is gone, also where its record still lies on the disk.
    for (let index = mark.end + 1; index <= (before?.end ?? 0); index++) this.#log.delete(index);
    const written: number[] = [];
    for (const { sequence, bytes } of batch.log ?? []) {
      const known = this.#log.get(sequence);
      if (known !== undefined && Buffer.compare(known.bytes, bytes) !== 0) isOther = true;
      if (known === undefined || isOther) this.#log.set(sequence, { epoch: epochOfRecord(bytes), bytes: bytes.slice() });
      written.push(sequence);
    }
    if (mark.base.index > (before?.base.index ?? 0))
      for (const index of this.#log.keys()) if (index <= mark.base.index) this.#log.delete(index);
    for (const { table: stored, key, bytes } of batch.entries ?? []) {
      const place = keptTableOf(stored);
      if (place === undefined) continue;
      const { generation, table } = place;
      if (bytes === undefined) this.#rowsOf(generation).delete(`${table}/${key}`);
      else this.#rowsOf(generation).set(`${table}/${key}`, bytes);
    }
    this.#mark = mark;
    return { isOther, mark, written };
  }

  /** Undefined where the state stands in its place, or nothing does. */
  at(index: number): DurableEntry | undefined {
    return this.#log.get(index);
  }

  epochAt(index: number): number | undefined {
    const base = this.#mark?.base;
    return base?.index === index ? base.epoch : this.#log.get(index)?.epoch;
  }

  /** Whether this very entry would be there after a loss of power: as a record, or in the state that stands for it. */
  holds(index: number, bytes: Uint8Array): boolean {
    if (index <= (this.#mark?.base.index ?? 0)) return true;
    const entry = this.#log.get(index);
    return entry !== undefined && Buffer.compare(entry.bytes, bytes) === 0;
  }
}
