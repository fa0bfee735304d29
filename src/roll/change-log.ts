import { assert } from "../kernel/index.ts";

export interface LogRecord {
  readonly epoch: number;
  readonly sequence: number;
  /** The encoded change, as stored and as sent; never modified. */
  readonly bytes: Uint8Array;
}

/**
 * The ring: the newest committed changes in order, for children that come back and for watches that resume. Bounded by
 * count and bytes; the oldest go first, and whoever needs them gets a load instead.
 */
export class ChangeLog {
  readonly #changesMax: number;
  readonly #bytesMax: number;
  #records: LogRecord[] = [];
  #first = 0;
  #bytes = 0;
  /** Changes after this sequence are all here. */
  #floor = 0;

  constructor(options: { readonly changesMax: number; readonly bytesMax: number }) {
    this.#changesMax = options.changesMax;
    this.#bytesMax = options.bytesMax;
  }

  /** True for a ring without room: whoever serves nobody from it need not fill it. */
  get keepsNothing(): boolean {
    return this.#changesMax === 0;
  }

  get length(): number {
    return this.#records.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get floor(): number {
    return this.#floor;
  }

  /** Forgets everything and starts after `sequence`: the node got a load, so it knows no single changes. */
  reset(sequence: number): void {
    this.#records = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#floor = sequence;
  }

  /** A change that is not kept, said to a ring that keeps nothing. */
  skip(sequence: number): void {
    this.#floor = sequence;
  }

  append(record: LogRecord): void {
    const last = this.#records.at(-1);
    assert(last === undefined || record.sequence > last.sequence, "the log grows in order");
    this.#records.push(record);
    this.#bytes += record.bytes.length;
    while (this.length > this.#changesMax || (this.#bytes > this.#bytesMax && this.length > 1)) {
      const gone = this.#records[this.#first];
      assert(gone !== undefined, "the ring's first record exists");
      this.#bytes -= gone.bytes.length;
      this.#floor = gone.sequence;
      this.#first++;
    }
    // Cutting the front off in bulk keeps appending O(1) without a linked list.
    if (this.#first > 1024 && this.#first * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Whether every change after `sequence` is still here. */
  reaches(sequence: number): boolean {
    return sequence >= this.#floor;
  }

  /** The records after `sequence`, oldest first, at most `bytesMax` bytes (but at least one). */
  after(sequence: number, bytesMax = Number.POSITIVE_INFINITY): readonly LogRecord[] {
    let low = this.#first;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const record = this.#records[middle];
      if (record !== undefined && record.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    const found: LogRecord[] = [];
    let bytes = 0;
    for (let index = low; index < this.#records.length; index++) {
      const record = this.#records[index];
      if (record === undefined || (found.length > 0 && bytes + record.bytes.length > bytesMax)) break;
      found.push(record);
      bytes += record.bytes.length;
    }
    return found;
  }
}
