import { type Operation, type OperationKind, type Value, apply } from "../../simulation/writes/history.ts";

/** What a caller may ask of a state that servers keep together. */
export const workKinds = ["writes", "session reads", "latest reads"] as const;
export type WorkKind = (typeof workKinds)[number];

/** One operation as its caller saw it; `key` begins with the group. */
export interface WorkOperation extends Operation {
  /** The service instance whose ordering group keeps the key. */
  readonly group: string;
  /** Of a write: its name in the log that the state keeps. Names are given once. */
  readonly id: string;
  /** `none`: it had no effect and never will; `unknown`: nobody has said, or nobody has answered yet. */
  readonly fate: "answered" | "none" | "unknown";
}

/** A write with effect, as the state remembers it: at its place in the one order of its group. */
export interface KeptWrite {
  readonly index: number;
  readonly id: string;
  readonly key: string;
  /** What the key had afterwards. */
  readonly value: Value;
}

/** All that one server remembers at the end of a run. */
export interface KeptLog {
  readonly group: string;
  readonly server: string;
  readonly writes: readonly KeptWrite[];
}

/** What callers of ordering groups have seen, and what their servers have kept. */
export interface WorkHistory {
  readonly operations: readonly WorkOperation[];
  readonly kept: readonly KeptLog[];
}

/** What is asked for, as it goes over the wire. */
export interface WriteOrder {
  readonly id: string;
  readonly kind: Exclude<OperationKind, "read" | "session-read">;
  readonly key: string;
  readonly argument?: string;
  readonly expected?: Value;
}

/** `position`: how many writes with effect the group had carried out, this one included. */
export interface WorkAnswer {
  readonly result: Value;
  readonly position: number;
}

export { type OperationKind, type Value, apply };

/** The same history with times that count from `zeroMs`. */
export function historyFrom({ operations, kept }: WorkHistory, zeroMs: number): WorkHistory {
  const from = (atMs: number | undefined) => (atMs === undefined ? undefined : atMs - zeroMs);
  return {
    kept,
    operations: operations.map((one) => ({ ...one, invokedMs: one.invokedMs - zeroMs, respondedMs: from(one.respondedMs) })),
  };
}

/** The servers' side wrote it, or a caller of the laboratory. */
export function parseOrder(body: unknown): WriteOrder {
  return body as WriteOrder;
}

export function parseAnswer(body: unknown): WorkAnswer {
  return body as WorkAnswer;
}

export function parseKept(body: unknown): readonly KeptWrite[] {
  return body as readonly KeptWrite[];
}
