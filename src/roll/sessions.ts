import { assert, isRecord } from "../kernel/index.ts";
import type { Outcome } from "./requests.ts";

export type SessionKind = "agent" | "relay" | "client" | "directory";

/** A writer as the directory knows it: durable, because a change takes effect once whatever is re-sent. */
export interface Session {
  /** The sequence of the change that admitted it: grows over restarts, hosts and epochs. */
  readonly id: number;
  readonly kind: SessionKind;
  /** Name of the node; for an agent the name of its host. */
  readonly name: string;
  /** Random identity of the process; a repeated admission with the same token is the same session. */
  readonly token: string;
  /** The number of the next change that will be taken: runs ahead of `durableNext` while a commit is under way. */
  next: number;
  /** The same as of the newest commit: what a restart finds. */
  durableNext: number;
  /** Outcomes from this number on are kept. */
  low: number;
  /** Outcomes of changes that are durable, or in the commit that is under way. */
  readonly outcomes: Map<number, Outcome>;
}

export type Turn =
  /** The change is the next one: decide it. */
  | { readonly kind: "decide" }
  /** It was decided before; the outcome is as told then (undefined while its commit is under way). */
  | { readonly kind: "repeat"; readonly outcome: Outcome | undefined }
  /** An earlier change of the session has not arrived; the writer re-sends all open ones in order, so this copy is dropped. */
  | { readonly kind: "gap" }
  /** Nobody remembers it: its session has ended or its outcome was pruned. It is never applied. */
  | { readonly kind: "expired" };

/** Pure rule: what to do with change `number` of a session whose writer has completed everything below `low`. */
export function turnOf(session: Session | undefined, number: number, low: number): Turn {
  if (session === undefined) return { kind: "expired" };
  const expected = Math.max(session.next, low);
  if (number === expected) return { kind: "decide" };
  if (number > expected) return { kind: "gap" };
  if (session.outcomes.has(number)) return { kind: "repeat", outcome: session.outcomes.get(number) };
  return number >= session.low && number < session.next ? { kind: "repeat", outcome: undefined } : { kind: "expired" };
}

/** Forgets what the writer no longer asks about. */
export function prune(session: Session, low: number): void {
  if (low <= session.low) return;
  for (let number = session.low; number < low && session.outcomes.size > 0; number++) session.outcomes.delete(number);
  session.low = low;
}

export function encodeSession(session: Session): Uint8Array {
  const { id, kind, name, token, durableNext, low } = session;
  return Buffer.from(JSON.stringify({ id, kind, name, token, next: durableNext, low, outcomes: [...session.outcomes] }));
}

/** Reads what `encodeSession` wrote; the store is ours, so anything else is a broken invariant. */
export function decodeSession(bytes: Uint8Array): Session {
  const stored: unknown = JSON.parse(Buffer.from(bytes).toString());
  assert(isRecord(stored) && Array.isArray(stored["outcomes"]), "a stored session is an object with outcomes");
  return {
    id: Number(stored["id"]),
    kind: parseKind(stored["kind"]),
    name: String(stored["name"]),
    token: String(stored["token"]),
    next: Number(stored["next"]),
    durableNext: Number(stored["next"]),
    low: Number(stored["low"]),
    outcomes: new Map(stored["outcomes"].map(([number, outcome]: [number, Outcome]) => [number, outcome])),
  };
}

export function parseKind(input: unknown): SessionKind {
  return input === "agent" || input === "relay" || input === "directory" ? input : "client";
}
