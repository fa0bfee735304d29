import type { Executed, GroupMachine, OrderedRequest, StateChange, StateRow } from "../../../src/groups/index.ts";
import { idText } from "../ordering/ids.ts";
import { type Order, bytesOf, carryOut, readOrder, textOf } from "../ordering/work.ts";

interface Replayed {
  readonly order: Order;
  readonly stamp: string;
}

/**
 * A state as an author may keep it, with hooks of his own: what goes into the log is the order itself, and every member carries it
 * out again on the committed rows. On top of these lie the rows of what was executed and not installed.
 */
export class ReplayMachine implements GroupMachine {
  readonly #rows = new Map<string, Uint8Array>();
  #ahead = new Map<string, Uint8Array | undefined>();
  readonly #stampOf: (id: string) => string;
  readonly #sleepMs: (delayMs: number) => Promise<void>;
  /** What began before it is void. */
  #generation = 0;

  constructor(stampOf: (id: string) => string, sleepMs: (delayMs: number) => Promise<void>) {
    this.#stampOf = stampOf;
    this.#sleepMs = sleepMs;
  }

  get(key: string): Uint8Array | undefined {
    return this.#rows.get(key);
  }

  execute({ body, id }: OrderedRequest): Executed | Promise<Executed> {
    const order = readOrder(body);
    const stamp = this.#stampOf(idText(id));
    const generation = this.#generation;
    if (order.slowMs === undefined) return this.#carryOut({ order, stamp });
    return this.#sleepMs(order.slowMs).then(() => {
      if (generation !== this.#generation) throw new Error("it was given up");
      return this.#carryOut({ order, stamp });
    });
  }

  #carryOut(replayed: Replayed): Executed {
    const over = new Map<string, Uint8Array | undefined>();
    const get = (key: string) => (over.has(key) ? over.get(key) : this.#ahead.has(key) ? this.#ahead.get(key) : this.#rows.get(key));
    const outcome = carryOut(replayed.order, changing(over, get), replayed.stamp);
    for (const [key, bytes] of over) this.#ahead.set(key, bytes);
    return { outcome, delta: bytesOf(JSON.stringify(replayed)) };
  }

  install(_index: number, delta: Uint8Array): StateChange {
    const { order, stamp }: Replayed = JSON.parse(textOf(delta));
    const over = new Map<string, Uint8Array | undefined>();
    carryOut(
      order,
      changing(over, (key) => this.#rows.get(key)),
      stamp,
    );
    for (const [key, bytes] of over)
      if (bytes === undefined) this.#rows.delete(key);
      else this.#rows.set(key, bytes);
    return Array.from(over, ([key, bytes]) => ({ key, bytes }));
  }

  discard(): void {
    this.#generation++;
    this.#ahead = new Map();
  }

  snapshot(): Iterable<StateRow> {
    return Array.from(this.#rows, ([key, bytes]) => ({ key, bytes }));
  }

  restore(rows: Iterable<StateRow>): void {
    this.discard();
    this.#rows.clear();
    for (const { key, bytes } of rows) this.#rows.set(key, bytes);
  }
}

function changing(over: Map<string, Uint8Array | undefined>, get: (key: string) => Uint8Array | undefined) {
  return {
    get: (key: string) => (over.has(key) ? over.get(key) : get(key)),
    put: (key: string, bytes: Uint8Array) => void over.set(key, bytes),
    delete: (key: string) => void over.set(key, undefined),
  };
}
