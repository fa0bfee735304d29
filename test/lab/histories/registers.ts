import { isRecord } from "../../../src/kernel/index.ts";
import type { GroupType, JsonValue, KeyedReader, KeyedTransaction } from "../../../src/index.ts";
import { type KeptWrite, type Value, type WorkAnswer, type WriteOrder, apply, parseOrder } from "./work.ts";

/** Types of request that servers of such a group answer. */
export const registerTypes = { change: "change", read: "read", log: "log" } as const;
/** Rows of the log in one answer. */
export const logPageMax = 2000;

const countKey = "#";
const logPrefix = "log/";
const digits = 9;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * A state whose history can be checked: registers and counters by key, how many writes have taken effect, and a log with one row for each of
 * them. A write that were carried out twice would stand in the log twice; one that were lost would be missing. `pause` is how long
 * handlers of appends take, so that servers also die in the middle of one.
 */
export function registers(pause: () => Promise<void>): Readonly<Record<string, GroupType>> {
  return {
    [registerTypes.change]: {
      effect: "write",
      handle: (body, { state }) => {
        const order = parseOrder(body);
        return order.kind === "append" ? pause().then(() => json(carryOut(order, state))) : json(carryOut(order, state));
      },
    },
    [registerTypes.read]: {
      effect: "read",
      handle: (body, { state }) => json({ result: textIn(state.get(valueKey(String(body)))), position: countIn(state) }),
    },
    [registerTypes.log]: {
      effect: "read",
      handle: (body, { state }) => {
        const after = isRecord(body) ? Number(body["after"]) : 0;
        return state
          .list(logPrefix, { after: logKey(after), limit: logPageMax })
          .map(({ bytes }): JsonValue => JSON.parse(decoder.decode(bytes)));
      },
    },
  };
}

function carryOut(order: WriteOrder, state: KeyedTransaction): WorkAnswer {
  const { id, kind, key } = order;
  const count = countIn(state);
  const { value, result } = apply(order, textIn(state.get(valueKey(key))));
  if (kind === "cas" && result === "differs") return { result, position: count };
  const index = count + 1;
  if (value === null) state.delete(valueKey(key));
  else state.put(valueKey(key), encoder.encode(value));
  state.put(countKey, encoder.encode(String(index)));
  const kept: KeptWrite = { index, id, key, value };
  state.put(logKey(index), encoder.encode(JSON.stringify(kept)));
  return { result, position: index };
}

function json({ result, position }: WorkAnswer): JsonValue {
  return { result, position };
}

function countIn(state: KeyedReader): number {
  return Number(textIn(state.get(countKey)) ?? 0);
}

function textIn(bytes: Uint8Array | undefined): Value {
  return bytes === undefined ? null : decoder.decode(bytes);
}

function valueKey(key: string): string {
  return `value/${key}`;
}

/** In the order of their places. */
function logKey(index: number): string {
  return `${logPrefix}${String(index).padStart(digits, "0")}`;
}
