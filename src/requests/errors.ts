import { type Effect, InvariantError, MusterError } from "../kernel/index.ts";
import type { RequestEffect } from "./options.ts";
import type { RefusalReason } from "./messages.ts";
import type { PendingRequest } from "./pending-table.ts";
import { bodyBytesMax, deadlineMsMax, typeNameBytesMax } from "./options.ts";

/** Nobody can say whether it took effect. */
export function unknownOutcome(key: string, type: string, why: string, cause?: unknown): MusterError {
  return new MusterError("requests/unknown", `whether ${type} at ${key} took effect is unknown: ${why}`, {
    effect: "maybe",
    next: "read back what it should have changed before repeating it; declare the type repeatable if twice is harmless",
    cause,
  });
}

/** A write that may have started has no other outcome than `unknown`. */
export function deadlineExceeded(key: string, type: string, effect: RequestEffect, sent: boolean, why: string): MusterError {
  if (sent && effect === "write") return unknownOutcome(key, type, `no answer came before the deadline${why}`);
  return new MusterError("requests/deadline-exceeded", `${type} at ${key} was not answered before the deadline${why}`, {
    effect: sent ? "maybe" : "none",
    next: "allow more time (deadlineMs), or look at the server: muster why TABLE KEY",
  });
}

/** Its deadline has passed. `sent`: anything of it can have begun. */
export function expired({ key, type, effect, failure, attempts, lane, owes }: PendingRequest, sent: boolean): MusterError {
  const why = failure === undefined ? "" : `; before that: ${failure.message}`;
  if (attempts === 0 && lane === undefined) return noServer(key, type, why);
  return owes === undefined ? deadlineExceeded(key, type, effect, sent, why) : budgetSpent(key, type, failure);
}

export function noServer(key: string, type: string, why: string): MusterError {
  return new MusterError("requests/no-server", `no server of ${key} could be asked before the deadline of ${type}${why}`, {
    next: "see `muster find TABLE KEY` and `muster why TABLE KEY`; the key may be misspelt",
  });
}

export function ambiguousService(key: string, tables: readonly string[]): MusterError {
  return new MusterError("requests/ambiguous-key", `several tables name ${key}: ${tables.join(", ")}`, { next: "pass { table }" });
}

export function budgetSpent(key: string, type: string, cause: unknown): MusterError {
  return new MusterError("requests/budget-spent", `${type} at ${key} failed, and the budget for asking again is spent`, {
    effect: "maybe",
    next: "find out why so many requests of this type fail: muster doctor",
    cause,
  });
}

export function attemptsSpent(key: string, type: string, attempts: number, cause: unknown): MusterError {
  return new MusterError("requests/attempts-spent", `${type} at ${key} failed in ${attempts} attempts`, {
    next: "look at its servers: muster doctor",
    cause,
  });
}

export function aborted(key: string, type: string, effect: Effect, cause: unknown): MusterError {
  return new MusterError("requests/aborted", `the caller gave up on ${type} at ${key}`, { effect, cause });
}

export function closed(effect: Effect): MusterError {
  return new MusterError("requests/closed", "this handle has been closed", { effect, next: "connect again" });
}

export function tooMany(pendingMax: number): MusterError {
  return new MusterError("requests/too-many", `${pendingMax} requests of this program wait for answers, which is its limit`, {
    next: "wait for answers before asking on",
  });
}

export function overloaded(why: string): MusterError {
  return new MusterError("requests/overloaded", why, { next: "ask less at a time, or add servers" });
}

export function badDeadline(deadlineMs: number): MusterError {
  return new MusterError("requests/bad-deadline", `a deadline is 1 ms … ${deadlineMsMax} ms away, not ${deadlineMs} ms`, {
    next: "choose another deadlineMs",
  });
}

export function badType(type: unknown): MusterError {
  return new MusterError("requests/bad-type", `${JSON.stringify(type) ?? "nothing"} is not a type of request`, {
    next: `a type is a text of 1 to ${typeNameBytesMax} bytes without a slash`,
  });
}

export function badEffect(type: string, effect: unknown): MusterError {
  return new MusterError("requests/bad-effect", `the effect of ${type} is ${JSON.stringify(effect) ?? "missing"}`, {
    next: "declare it as read, repeatable or write",
  });
}

export function badConcurrency(concurrency: number): MusterError {
  return new MusterError("requests/bad-concurrency", `${concurrency} requests at a time are no number to work with`, {
    next: "allow at least 1, or leave `concurrency` out",
  });
}

export function badCopies(copies: unknown): MusterError {
  return new MusterError("requests/bad-copies", `${JSON.stringify(copies) ?? "nothing"} says nothing about copies`, {
    next: "choose tied, all or none",
  });
}

export function badBody(cause?: unknown): MusterError {
  return new MusterError("requests/bad-body", "the body is neither JSON nor bytes", {
    next: "pass text, numbers, lists, plain objects, or a Uint8Array",
    cause,
  });
}

export function bodyTooLarge(bytes: number, effect: Effect): MusterError {
  return new MusterError("requests/body-too-large", `a body of ${bytes} bytes is larger than the ${bodyBytesMax} allowed`, {
    effect,
    next: "send it in parts, or by HTTP to the route that find names",
  });
}

export function notACaller(): MusterError {
  return new MusterError("requests/not-a-caller", "only a program that sends requests may connect here", {
    next: "check the address: this is the port of a server, not that of a node",
  });
}

export function notAServer(): MusterError {
  return new MusterError("requests/not-a-server", "who answers there does not serve requests", {
    next: "check the route of this server: muster find TABLE KEY",
  });
}

export function tooManyCallers(callersMax: number): MusterError {
  return new MusterError("requests/too-many-callers", `${callersMax} callers are connected, which is the limit`, {
    next: "add servers",
  });
}

export function malformed(what: string): MusterError {
  return new MusterError("requests/malformed", `a message cannot be read: ${what}`, {
    next: "check that both sides run versions of Muster that speak with each other",
  });
}

export function unreachable(where: string, cause: unknown): MusterError {
  return new MusterError("requests/unreachable", `the server at ${where} could not be reached`, {
    next: "look at that server and the network in between",
    cause,
  });
}

export function lost(where: string, cause: unknown): MusterError {
  return new MusterError("requests/connection-lost", `the connection with ${where} broke while the request was under way`, {
    effect: "maybe",
    next: "look whether the server there has ended",
    cause,
  });
}

export function serverGone(instance: string, why: string): MusterError {
  return new MusterError("requests/server-gone", `${instance} was given up: ${why}`, {
    effect: "maybe",
    next: "see `muster why` for the reason",
  });
}

/** The same error about a request of which a former attempt may have begun. */
export function afterAttempts(error: MusterError): MusterError {
  if (error.effect !== "none") return error;
  const next = error.next === undefined ? {} : { next: error.next };
  return new MusterError(error.code, error.message, { effect: "maybe", ...next, cause: error });
}

/** Why a handler's signal is aborted. */
export function cancelled(why: string): MusterError {
  return new MusterError("requests/cancelled", why, { effect: "maybe" });
}

export function closing(effect: Effect): MusterError {
  return new MusterError("requests/closing", "the server is closing", { effect, next: "ask another one" });
}

export function portInUse(port: number): MusterError {
  return new MusterError("requests/served-already", `this program serves that key on port ${port} already`, {
    next: "close the first one before serving it again",
  });
}

/** What the caller may know of something that a handler threw. Broken invariants are not answered: they stop the process. */
export function handlerError(thrown: unknown): MusterError {
  if (thrown instanceof InvariantError) throw thrown;
  if (!(thrown instanceof MusterError))
    return new MusterError("requests/handler-failed", "the server failed while it worked on this", {
      effect: "maybe",
      next: "look into the log of that server",
    });
  if (thrown.effect !== "none") return thrown;
  const next = thrown.next === undefined ? {} : { next: thrown.next };
  return new MusterError(thrown.code, thrown.message, { effect: "maybe", ...next });
}

/** What a server that did not begin a request (or gave it up) answers. */
export function refused(instance: string, reason: RefusalReason, why: string): MusterError {
  const message = `${instance}: ${why}`;
  switch (reason) {
    case "overloaded":
      return new MusterError("requests/overloaded", message, { next: "ask less at a time, or add servers" });
    case "malformed":
      return new MusterError("requests/malformed", message, { next: "check the versions of both sides" });
    case "abandoned":
      return new MusterError("requests/closing", message, { effect: "maybe", next: "ask another one" });
    case "turned-away":
    case "reclassified":
    case "twin":
      return new MusterError("requests/turned-away", message, { next: "ask another one" });
  }
}
