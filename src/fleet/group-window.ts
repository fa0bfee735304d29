import type { GroupWrite } from "./group-write.ts";

/** Open requests of one lease in one group; the members refuse more than 1,024. */
const windowMax = 1000;

/**
 * The numbers that one lease gives to its writes in one group. Members forget what lies below the lowest open one, so a write whose
 * outcome nobody knows stays open, for whoever asks, until its place in the window is needed.
 */
export class GroupWindow {
  readonly lease: string;
  readonly group: string;
  #sequence = 0;
  /** Ascending. Undefined: its outcome is not known, and its caller has been told so. */
  readonly #open = new Map<number, GroupWrite | undefined>();
  /** They wait for room. */
  #waiting: GroupWrite[] = [];

  constructor(lease: string, group: string) {
    this.lease = lease;
    this.group = group;
  }

  /** Nothing needs it any more. */
  get isIdle(): boolean {
    return this.#open.size === 0 && this.#waiting.length === 0;
  }

  /** The lowest sequence whose outcome is not known here. */
  get low(): number {
    for (const sequence of this.#open.keys()) return sequence;
    return this.#sequence + 1;
  }

  /** Returns the writes that have got a number, in order. */
  admit(write?: GroupWrite): readonly GroupWrite[] {
    if (write !== undefined) this.#waiting.push(write);
    const admitted: GroupWrite[] = [];
    let taken = 0;
    for (const next of this.#waiting) {
      if (!next.hasEnded && !this.#hasRoom()) break;
      taken++;
      if (next.hasEnded) continue;
      this.#sequence++;
      next.id = { lease: this.lease, sequence: this.#sequence };
      this.#open.set(this.#sequence, next);
      admitted.push(next);
    }
    if (taken > 0) this.#waiting = this.#waiting.slice(taken);
    return admitted;
  }

  #hasRoom(): boolean {
    while (this.#sequence + 1 - this.low >= windowMax) {
      const { low } = this;
      if (this.#open.get(low) !== undefined) return false;
      this.#open.delete(low);
    }
    return true;
  }

  /** `isKnown` false: it may still be asked for. */
  close({ id }: GroupWrite, isKnown: boolean): void {
    if (id === undefined) return;
    if (isKnown) this.#open.delete(id.sequence);
    else if (this.#open.has(id.sequence)) this.#open.set(id.sequence, undefined);
  }

  /** Somebody knows the outcome now. */
  known(sequence: number): void {
    if (this.#open.has(sequence) && this.#open.get(sequence) === undefined) this.#open.delete(sequence);
  }
}
