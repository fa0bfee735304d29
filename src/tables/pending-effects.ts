/** One gathered effect; the object is used again for the next change. */
export interface PendingEffect {
  kind: "put" | "valid" | "remove";
  table: number;
  key: string;
  text: string;
  valid: boolean;
  owner: string;
  incarnation: number;
}

/** Objects kept for the next change; a change has at most a few hundred effects. */
const keptMax = 256;

/**
 * The effects of a change between its begin and its end. They wait here, because a frame may turn out to be malformed in the middle
 * of a change, and half a change must never show. The objects are used again: the stream of changes is the hottest path
 * of a node.
 */
export class PendingEffects {
  readonly #effects: PendingEffect[] = [];
  epoch = 0;
  sequence = 0;
  count = 0;

  start(epoch: number, sequence: number): void {
    this.epoch = epoch;
    this.sequence = sequence;
    this.count = 0;
  }

  put(table: number, key: string, text: string, valid: boolean, owner: string, incarnation: number): void {
    const effect = this.#next();
    effect.kind = "put";
    effect.table = table;
    effect.key = key;
    effect.text = text;
    effect.valid = valid;
    effect.owner = owner;
    effect.incarnation = incarnation;
  }

  setValid(table: number, key: string, valid: boolean): void {
    const effect = this.#next();
    effect.kind = "valid";
    effect.table = table;
    effect.key = key;
    effect.valid = valid;
  }

  remove(table: number, key: string): void {
    const effect = this.#next();
    effect.kind = "remove";
    effect.table = table;
    effect.key = key;
  }

  at(index: number): PendingEffect {
    const effect = this.#effects[index];
    if (effect === undefined) throw new RangeError(`no effect ${index}`);
    return effect;
  }

  clear(): void {
    this.count = 0;
    if (this.#effects.length > keptMax) this.#effects.length = keptMax;
  }

  #next(): PendingEffect {
    const known = this.#effects[this.count++];
    if (known !== undefined) return known;
    const effect: PendingEffect = { kind: "remove", table: 0, key: "", text: "", valid: false, owner: "", incarnation: 0 };
    this.#effects.push(effect);
    return effect;
  }
}
