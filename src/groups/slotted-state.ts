import { createHash } from "node:crypto";
import { limits } from "../kernel/index.ts";
import { badKey } from "./errors.ts";
import { encodeDelta } from "./keyed-delta.ts";
import {
  type KeyedHandler,
  type KeyedReader,
  KeyedState,
  type KeyedStateOptions,
  type KeyedTransaction,
  type ListOptions,
} from "./keyed-state.ts";
import type { Executed, GroupMachine, OrderedRequest, SlotRows, StateChange, StateRow } from "./ports.ts";
import { slotMissing } from "./slot-errors.ts";

/** Of every row of a slot; the handlers' own key follows. */
const prefixLength = 3;
const pageRowsMax = 10_000;
const digestBytes = 16;

function prefixOf(slot: number): string {
  return `${slot.toString(16).padStart(2, "0")}/`;
}

/**
 * Keyed rows for a service whose groups share its keys among them. Each slot is a state of its own: a handler sees the rows of the slot of
 * its request's ordering key and no others, because those may be in another group tomorrow, and its answer would be another one then.
 */
export class SlottedState implements GroupMachine, SlotRows {
  readonly slots: SlotRows = this;
  readonly #inner: KeyedState;

  constructor(options: KeyedStateOptions) {
    const handlers = Object.entries(options.handlers).map(([type, handler]): readonly [string, KeyedHandler] => [type, inSlot(handler)]);
    this.#inner = new KeyedState({ ...options, handlers: Object.fromEntries(handlers) });
  }

  /** What is committed of one slot here. */
  reader(slot: number): KeyedReader {
    return new SlotReader(this.#inner, prefixOf(slot));
  }

  execute(request: OrderedRequest): Executed | Promise<Executed> {
    return this.#inner.execute(request);
  }

  install(index: number, delta: Uint8Array): StateChange {
    return this.#inner.install(index, delta);
  }

  discard(): void {
    this.#inner.discard();
  }

  snapshot(): Iterable<StateRow> {
    return this.#inner.snapshot();
  }

  restore(rows: Iterable<StateRow>): void {
    this.#inner.restore(rows);
  }

  page(slot: number, after: string, bytesMax: number): { readonly rows: readonly StateRow[]; readonly isLast: boolean } {
    const found = this.#inner.list(prefixOf(slot), { after, limit: pageRowsMax });
    let bytes = 0;
    const rows: StateRow[] = [];
    for (const row of found) {
      bytes += row.bytes.length + row.key.length * 3;
      if (rows.length > 0 && bytes > bytesMax) return { rows, isLast: false };
      rows.push(row);
    }
    return { rows, isLast: found.length < pageRowsMax };
  }

  adopt(index: number, rows: Iterable<StateRow>): StateChange {
    return this.#inner.install(index, encodeDelta(new Map(Array.from(rows, ({ key, bytes }) => [key, bytes]))));
  }

  drop(index: number, slot: number): StateChange {
    const gone = new Map<string, undefined>();
    for (const { key } of this.#rowsOf(slot)) gone.set(key, undefined);
    return this.#inner.install(index, encodeDelta(gone));
  }

  digest(slot: number): Uint8Array {
    const digest = createHash("sha256");
    for (const { key, bytes } of this.#rowsOf(slot)) {
      digest.update(`${Buffer.byteLength(key)} ${key} ${bytes.length} `);
      digest.update(bytes);
    }
    return digest.digest().subarray(0, digestBytes);
  }

  *#rowsOf(slot: number): Iterable<StateRow> {
    for (let after = ""; ; ) {
      const page = this.#inner.list(prefixOf(slot), { after, limit: pageRowsMax });
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < pageRowsMax) return;
      after = last.key;
    }
  }
}

function inSlot(handler: KeyedHandler): KeyedHandler {
  return (body, rows, request) => {
    if (request.slot === undefined) throw slotMissing();
    return handler(body, new SlotTransaction(rows, prefixOf(request.slot)), request);
  };
}

/** The rows of one slot under the keys that the handlers gave them. */
class SlotReader<Rows extends KeyedReader> implements KeyedReader {
  protected readonly rows: Rows;
  protected readonly prefix: string;

  constructor(rows: Rows, prefix: string) {
    this.rows = rows;
    this.prefix = prefix;
  }

  get(key: string): Uint8Array | undefined {
    return this.rows.get(this.prefix + key);
  }

  list(prefix: string, options: ListOptions = {}): StateRow[] {
    const { after, ...rest } = options;
    const inner = after === undefined ? rest : { ...rest, after: this.prefix + after };
    return this.rows.list(this.prefix + prefix, inner).map(({ key, bytes }) => ({ key: key.slice(prefixLength), bytes }));
  }
}

class SlotTransaction extends SlotReader<KeyedTransaction> implements KeyedTransaction {
  /** Keys have 1 to 509 UTF-8 bytes. */
  put(key: string, bytes: Uint8Array): void {
    if (key.length === 0 || Buffer.byteLength(key) > limits.keyBytesMax - prefixLength) throw badKey(key);
    this.rows.put(this.prefix + key, bytes);
  }

  delete(key: string): void {
    this.rows.delete(this.prefix + key);
  }
}
