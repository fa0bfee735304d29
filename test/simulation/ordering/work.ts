import type { KeyedHandler, KeyedTransaction } from "../../../src/groups/index.ts";
import { type OperationKind, type Value, apply } from "../writes/history.ts";
import { idText } from "./ids.ts";

/** What a caller asks the keyed state for. */
export interface Order {
  readonly kind: Exclude<OperationKind, "read" | "session-read">;
  readonly key: string;
  readonly argument?: string | undefined;
  readonly expected?: Value | undefined;
  /** The handler takes so long. */
  readonly slowMs?: number | undefined;
  /** The handler throws, in the middle of its changes. */
  readonly fails?: true | undefined;
}

/** What an executed order answers. No two executions answer alike, so that a second one shows. */
export interface Answer {
  readonly result: string | null;
  readonly stamp: string;
}

/** The row that every execution with effect writes: who, and which execution. So every committed delta names its request. */
export const stampKey = "#";

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function valueOf(bytes: Uint8Array | undefined): Value {
  return bytes === undefined ? null : textOf(bytes);
}

export function orderBytes(order: Order): Uint8Array {
  return bytesOf(JSON.stringify(order));
}

const kinds = ["put", "append", "add", "cas", "delete"] as const satisfies readonly Order["kind"][];

/** `stampOf` makes one that no other execution has; `sleepMs` is the handler's own time. */
export function handlers(
  stampOf: (id: string) => string,
  sleepMs: (delayMs: number) => Promise<void>,
  isAlwaysAsync: boolean,
): Record<string, KeyedHandler> {
  const handle: KeyedHandler = (body, rows, { id }) => {
    const order = readOrder(body);
    const stamp = stampOf(idText(id));
    if (order.slowMs === undefined)
      return isAlwaysAsync ? Promise.resolve().then(() => carryOut(order, rows, stamp)) : carryOut(order, rows, stamp);
    return sleepMs(order.slowMs).then(() => carryOut(order, rows, stamp));
  };
  return Object.fromEntries(kinds.map((kind) => [kind, handle]));
}

/** Executes an order. */
export function carryOut(order: Order, rows: Pick<KeyedTransaction, "get" | "put" | "delete">, stamp: string): Uint8Array {
  const { value, result } = apply(order, valueOf(rows.get(order.key)));
  rows.put(stampKey, bytesOf(stamp));
  if (value === null) rows.delete(order.key);
  else rows.put(order.key, bytesOf(value));
  if (order.fails === true) throw new Error(`the handler failed: ${stamp}`);
  const answer: Answer = { result, stamp };
  return bytesOf(JSON.stringify(answer));
}

export function readOrder(body: Uint8Array): Order {
  const order: Order = JSON.parse(textOf(body));
  return order;
}
