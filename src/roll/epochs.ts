/** Where an epoch began: its first change has this sequence. */
export interface EpochStart {
  readonly epoch: number;
  readonly sequence: number;
}

/**
 * The history of reigns. Every reign begins with an empty change of its own, so whoever follows the stream learns the
 * starts from it. A position past the end of its epoch belongs to another history and is never resumed.
 */
export class Epochs {
  #starts: EpochStart[] = [];

  /** The newest `keepMax` reigns are remembered; an older position is treated as unknown history. */
  static readonly keepMax = 1000;

  get starts(): readonly EpochStart[] {
    return this.#starts;
  }

  get newest(): number {
    return this.#starts.at(-1)?.epoch ?? 0;
  }

  note(epoch: number, sequence: number): void {
    if (epoch <= this.newest) return;
    this.#starts.push({ epoch, sequence });
    if (this.#starts.length > Epochs.keepMax) this.#starts.shift();
  }

  replace(starts: readonly EpochStart[]): void {
    this.#starts = [...starts].sort((a, b) => a.epoch - b.epoch).slice(-Epochs.keepMax);
  }

  /** The epoch in which a sequence was given out. */
  epochOf(sequence: number): number {
    return this.#starts.findLast((start) => start.sequence <= sequence)?.epoch ?? 0;
  }

  /** Whether a node that stands at (epoch, sequence) shares this history. `last` is the newest sequence known here. */
  contains(epoch: number, sequence: number, last: number): boolean {
    const index = this.#starts.findIndex((start) => start.epoch === epoch);
    const start = this.#starts[index];
    if (start === undefined || sequence < start.sequence) return false;
    const next = this.#starts[index + 1];
    return next === undefined ? sequence <= last : sequence < next.sequence;
  }
}
