/** Texts in ascending order (by UTF-16 units), for tens of thousands of inserts a second: a list of short sorted lists. */
export class SortedKeys {
  #chunks: string[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Has no effect when it is there. */
  add(key: string): void {
    const at = this.#chunkFor(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      this.#chunks.push([key]);
      this.#size++;
      return;
    }
    const place = lowerBound(chunk, key);
    if (chunk[place] === key) return;
    chunk.splice(place, 0, key);
    this.#size++;
    if (chunk.length > chunkMax) this.#chunks.splice(at, 1, chunk.slice(0, chunkMax / 2), chunk.slice(chunkMax / 2));
  }

  delete(key: string): void {
    const at = this.#chunkFor(key);
    const chunk = this.#chunks[at];
    const place = chunk === undefined ? 0 : lowerBound(chunk, key);
    if (chunk?.[place] !== key) return;
    chunk.splice(place, 1);
    this.#size--;
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  clear(): void {
    this.#chunks = [];
    this.#size = 0;
  }

  /** From the first one that is not before `key`, in order. Not to be used after a change. */
  *from(key: string): Iterable<string> {
    for (let at = this.#chunkFor(key); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] ?? [];
      for (let place = lowerBound(chunk, key); place < chunk.length; place++) {
        const next = chunk[place];
        if (next !== undefined) yield next;
      }
    }
  }

  /** The last chunk whose first key is not behind `key`; the first one when there is none. */
  #chunkFor(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#chunks[middle]?.[0];
      if (first !== undefined && first <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

const chunkMax = 512;

function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
