/** An attempt of a request, in a list of its own. */
export interface Attempt<Self> {
  readonly id: number;
  readonly attempt: number;
  /** Another attempt of the same request in the list. */
  sibling: Self | undefined;
}

/**
 * Attempts by the number of their request. Nearly every request has one at a time; where copies of one request meet at one program, the
 * others hang on to the newest.
 */
export class Attempts<One extends Attempt<One>> {
  readonly #newest = new Map<number, One>();

  add(one: One): void {
    one.sibling = this.#newest.get(one.id);
    this.#newest.set(one.id, one);
  }

  get(id: number, attempt: number): One | undefined {
    let one = this.#newest.get(id);
    while (one !== undefined && one.attempt !== attempt) one = one.sibling;
    return one;
  }

  delete(one: One): void {
    const newest = this.#newest.get(one.id);
    if (newest === one) {
      if (one.sibling === undefined) this.#newest.delete(one.id);
      else this.#newest.set(one.id, one.sibling);
      return;
    }
    for (let other = newest; other !== undefined; other = other.sibling)
      if (other.sibling === one) {
        other.sibling = one.sibling;
        return;
      }
  }

  /** They may leave while the list is read. */
  all(): readonly One[] {
    const all: One[] = [];
    for (const newest of this.#newest.values()) for (let one: One | undefined = newest; one !== undefined; one = one.sibling) all.push(one);
    return all;
  }

  clear(): void {
    this.#newest.clear();
  }
}
