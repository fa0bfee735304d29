const wordBits = 32;
/** So many numbers back it is known which have come; what is older counts as if it had. */
const windowDefault = 16_384;

/** Which numbers have come, each of which counts once: as IPsec refuses repeats (RFC 4303, 3.4.3), so that it needs neither time nor growing memory. */
export class SequenceWindow {
  readonly #words: Uint32Array;
  readonly #size: number;
  #highest = 0;

  /** `size`: a multiple of 32. */
  constructor(size: number = windowDefault) {
    this.#size = size;
    this.#words = new Uint32Array(size / wordBits);
  }

  /** Whether the number has not come before; from now on it has. */
  take(sequence: number): boolean {
    if (sequence > this.#highest) this.#moveTo(sequence);
    else if (sequence <= this.#highest - this.#size) return false;
    const place = sequence % this.#size;
    const index = Math.floor(place / wordBits);
    const bit = 1 << (place % wordBits);
    const word = this.#words[index] ?? 0;
    if ((word & bit) !== 0) return false;
    this.#words[index] = word | bit;
    return true;
  }

  /** Whether the number has come before, or is so far back that nobody knows. */
  has(sequence: number): boolean {
    if (sequence > this.#highest) return false;
    if (sequence <= this.#highest - this.#size) return true;
    const place = sequence % this.#size;
    return ((this.#words[Math.floor(place / wordBits)] ?? 0) & (1 << (place % wordBits))) !== 0;
  }

  /** Numbers in between have not come yet. */
  #moveTo(sequence: number): void {
    if (sequence - this.#highest >= this.#size) this.#words.fill(0);
    else
      for (let number = this.#highest + 1; number <= sequence; number++) {
        const place = number % this.#size;
        const index = Math.floor(place / wordBits);
        this.#words[index] = (this.#words[index] ?? 0) & ~(1 << (place % wordBits));
      }
    this.#highest = sequence;
  }
}
