import type { EntryView } from "./entry.ts";
import type { Row } from "./row.ts";

const chunkRowsMax = 512;

/**
 * The rows of a table in key order (UTF-16 code units, as JavaScript compares texts): an array of chunks. Inserting in
 * key order appends; elsewhere it moves at most one chunk. A balanced tree was rejected: it costs a node a row and
 * its searches miss the cache twice as often.
 */
export class SortedRows {
  readonly #chunks: Row[][] = [];
  /** Grows with every insertion and removal, so that a suspended iteration knows when to look for its place again. */
  #version = 0;

  insert(row: Row): void {
    this.#version++;
    const chunks = this.#chunks;
    const tail = chunks[chunks.length - 1];
    const last = tail?.[tail.length - 1];
    if (tail === undefined || last === undefined) {
      chunks.push([row]);
    } else if (last.key < row.key) {
      if (tail.length < chunkRowsMax) tail.push(row);
      else chunks.push([row]);
    } else {
      this.#insertInside(row);
    }
  }

  remove(row: Row): void {
    this.#version++;
    const at = this.#chunkOf(row.key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const index = lowerBound(chunk, row.key);
    if (chunk[index] !== row) return;
    chunk.splice(index, 1);
    const next = this.#chunks[at + 1];
    if (chunk.length === 0) {
      this.#chunks.splice(at, 1);
    } else if (next !== undefined && chunk.length + next.length < chunkRowsMax / 2) {
      for (const moved of next) chunk.push(moved);
      this.#chunks.splice(at + 1, 1);
    }
  }

  clear(): void {
    this.#version++;
    this.#chunks.length = 0;
  }

  /** The rows whose keys begin with `prefix`, in order. */
  rows(prefix: string): Row[] {
    const found: Row[] = [];
    this.#each(prefix, (row) => found.push(row));
    return found;
  }

  /** The views of the rows whose keys begin with `prefix`, in order; the rows keep the first `keptMax` of them. */
  entries(prefix: string, keptMax: number): EntryView[] {
    const found: EntryView[] = [];
    this.#each(prefix, (row) => found.push(row.entry(found.length < keptMax)));
    return found;
  }

  /** Roughly how many rows begin with `prefix`, to choose between this index and another; exact to a chunk. */
  estimate(prefix: string): number {
    if (prefix === "") return this.#chunks.length * chunkRowsMax;
    return (this.#chunkOf(`${prefix}\uffff`) - this.#chunkOf(prefix) + 1) * chunkRowsMax;
  }

  /**
   * The rows after the key `after` ("" = from the first) in order. The iteration may be suspended while rows come and go: it never
   * repeats a key, and shows every row that was there all the time.
   */
  *from(after: string): Generator<Row, void, undefined> {
    let version = -1;
    let last = after;
    let at = 0;
    let index = 0;
    for (;;) {
      if (version !== this.#version) {
        version = this.#version;
        at = this.#chunkOf(last);
        const chunk = this.#chunks[at];
        if (chunk === undefined) return;
        index = lowerBound(chunk, last);
        if (chunk[index]?.key === last) index++;
      }
      const chunk = this.#chunks[at];
      if (chunk === undefined) return;
      const row = chunk[index];
      if (row === undefined) {
        at++;
        index = 0;
        continue;
      }
      index++;
      last = row.key;
      yield row;
    }
  }

  #each(prefix: string, visit: (row: Row) => void): void {
    const chunks = this.#chunks;
    let at = this.#chunkOf(prefix);
    let chunk = chunks[at];
    if (chunk === undefined) return;
    let index = lowerBound(chunk, prefix);
    while (chunk !== undefined) {
      for (; index < chunk.length; index++) {
        const row = chunk[index];
        if (row === undefined || !row.key.startsWith(prefix)) return;
        visit(row);
      }
      chunk = chunks[++at];
      index = 0;
    }
  }

  #insertInside(row: Row): void {
    const at = this.#chunkOf(row.key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    chunk.splice(lowerBound(chunk, row.key), 0, row);
    if (chunk.length > chunkRowsMax) this.#chunks.splice(at + 1, 0, chunk.splice(chunkRowsMax / 2));
  }

  /** The last chunk that begins at or before `key`, or the first. */
  #chunkOf(key: string): number {
    const chunks = this.#chunks;
    let low = 0;
    let high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const first = chunks[middle]?.[0];
      if (first !== undefined && first.key <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function lowerBound(chunk: readonly Row[], key: string): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = chunk[middle];
    if (row !== undefined && row.key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
