import type { RequestEffect } from "./options.ts";

/**
 * What an attempt can meet instead of an answer:
 * - `gone`: the roll says that the server, its host or the route is no more;
 * - `avoided`: the roll says that the server is not to be used while others are left;
 * - `lost`: the connection ended under it;
 * - `abandoned`: the server closes and has given up on it;
 * - `unreached`: no connection came about;
 * - `impatient`: no connection has come about yet;
 * - `silent`: nothing is heard over the connection any more, not even an answer to a ping;
 * - `turned-away`: the server will not begin it (it is closing, or serves that key no more);
 * - `overloaded`: the server, or the way to it, has too much to do to begin it;
 * - `reclassified`: the server did not begin it because it knows the type as a write.
 */
export type Setback =
  | "gone"
  | "avoided"
  | "lost"
  | "abandoned"
  | "unreached"
  | "impatient"
  | "silent"
  | "turned-away"
  | "overloaded"
  | "reclassified";

/** What the decision needs to know of a request. */
export interface Standing {
  readonly effect: RequestEffect;
  /** Bytes of the present attempt may have reached the server. */
  readonly sent: boolean;
  /** Re-sends after a failure that were free. */
  readonly freeMoves: number;
}

/**
 * - `move`: ask another server or over another route, wait for one if there is none;
 * - `move-paid`: the same if the budget of its type pays for it, else fail;
 * - `leave`: move as soon as there is a better server or route and `isFree` or the budget of its type pays for it, go on waiting for this
 *   answer until then;
 * - `stay`: go on waiting for this answer;
 * - `unknown`: end, nobody can say whether it took effect.
 */
export type Verdict = "move" | "move-paid" | "leave" | "stay" | "unknown";

/**
 * What follows from a setback. What was not sent is safe to send elsewhere, whatever it does. What was sent is sent again only if
 * twice is harmless, once for free because it replaces work that is dead, and from then on at the expense of the budget.
 */
export function judge(setback: Setback, { effect, sent, freeMoves }: Standing): Verdict {
  switch (setback) {
    case "reclassified":
    case "turned-away":
    case "unreached":
      return "move";
    case "impatient":
      return "leave";
    case "overloaded":
      return "move-paid";
    case "avoided":
    case "silent":
      // The server may well answer: a write waits for it, and nothing fails because of a guess.
      return sent && effect === "write" ? "stay" : "leave";
    case "gone":
    case "lost":
    case "abandoned":
      if (!sent) return "move";
      if (effect === "write") return "unknown";
      return freeMoves === 0 ? "move" : "move-paid";
  }
}

/** Whether leaving costs nothing: the attempt was not sent, or no re-send has been free so far. */
export function isFree({ sent, freeMoves }: Standing): boolean {
  return !sent || freeMoves === 0;
}

/** Of two opinions on a type the one that promises less. */
export function stricter(a: RequestEffect, b: RequestEffect): RequestEffect {
  if (a === "write" || b === "write") return "write";
  return a === "repeatable" || b === "repeatable" ? "repeatable" : "read";
}
