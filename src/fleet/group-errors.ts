import { type Effect, MusterError } from "../kernel/index.ts";

/** A write of which nobody can say whether it took effect, and how to ask later. */
export class UnknownOutcome extends MusterError {
  /** For `fleet.outcome`. */
  readonly requestId: string;

  constructor(requestId: string, key: string, type: string, why: string, cause?: unknown) {
    super("requests/unknown", `whether ${type} at ${key} took effect is unknown: ${why}`, {
      effect: "maybe",
      next: "ask what became of it: fleet.outcome(error.requestId)",
      cause,
    });
    this.requestId = requestId;
  }
}

export function deadlineExceeded(key: string, type: string, why: string): MusterError {
  return new MusterError("requests/deadline-exceeded", `${type} at ${key} was not answered before the deadline${why}`, {
    next: "allow more time (deadlineMs), or look at the group: muster groups",
  });
}

export function askedInVain(requestId: string): MusterError {
  return new MusterError("requests/deadline-exceeded", `nobody said before the deadline what became of ${requestId}`, {
    next: "ask again, or look at the group: muster groups",
  });
}

export function badDeadline(deadlineMs: number): MusterError {
  return new MusterError("requests/bad-deadline", `a deadline is 1 ms … 3600000 ms away, not ${deadlineMs} ms`, {
    next: "choose another deadlineMs",
  });
}

export function badRequestType(type: unknown): MusterError {
  return new MusterError("requests/bad-type", `${JSON.stringify(type) ?? "nothing"} is not a type of request`, {
    next: "a type is a text of 1 to 128 bytes without a slash",
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

export function badBody(cause?: unknown): MusterError {
  return new MusterError("fleet/bad-value", "the value is not JSON", {
    next: "pass text, numbers, lists and plain objects",
    cause,
  });
}

export function tooLarge(bytes: number, bytesMax: number): MusterError {
  return new MusterError("fleet/too-large", `a body of ${bytes} bytes is larger than the ${bytesMax} that an ordering group takes`, {
    next: "send it in parts",
  });
}

export function malformed(what: string): MusterError {
  return new MusterError("fleet/malformed", `a message of an ordering group cannot be read: ${what}`, {
    next: "check that both sides run versions of Muster that speak with each other",
  });
}

export function badRequestId(requestId: string): MusterError {
  return new MusterError("fleet/bad-request-id", `${JSON.stringify(requestId)} names no write`, {
    next: "pass the requestId of an error, or of a handler's context",
  });
}

export function noStorage(): MusterError {
  return new MusterError("fleet/no-storage", "this handle was made without a way to keep a group's state on a disk", {
    next: "use `connect`; in simulations, serve from a member of a SimFleet",
  });
}

export function notAServerOfMany(key: string): MusterError {
  return new MusterError("fleet/not-in-a-group", `"${key}" is not a server of a service instance, so it has no ordering group`, {
    next: "serve a key of three parts: MDS.1.2 is a server of MDS.1",
  });
}

export function reservedType(type: string): MusterError {
  return new MusterError("fleet/reserved-type", `types that begin with "muster." are not for programs: ${type}`, {
    next: "choose another name",
  });
}

export function badGroup(why: string): MusterError {
  return new MusterError("fleet/bad-group", `this server cannot keep a group's state: ${why}`, { next: "correct what the message names" });
}

export function notARead(type: string): MusterError {
  return new MusterError("fleet/not-a-read", `${type} is declared as a read, and its servers order it as a write`, {
    next: "take the declaration back, or serve it as a read",
  });
}

export function foreignData(directory: string, owner: string, wanted: string): MusterError {
  return new MusterError("fleet/foreign-data", `${directory} holds the state of ${owner}, not of ${wanted}`, {
    next: "give each server of a group a directory of its own; for a new copy, an empty one",
  });
}

export function mapChanged(key: string): MusterError {
  return new MusterError("fleet/map-changed", `the map ${key} is another one by now`, { next: "decide anew" });
}

export function noKey(service: string, type: string): MusterError {
  return new MusterError("fleet/no-key", `the groups of ${service} share its keys, and this ${type} has none`, {
    next: "pass { key }, or declare the type with an orderingKey that its body has",
  });
}

export function badOrderingKey(bytesMax: number): MusterError {
  return new MusterError("fleet/bad-key", `an ordering key is a text of 1 to ${bytesMax} bytes`, { next: "pass a shorter one" });
}

export function rowChanged(key: string): MusterError {
  return new MusterError("fleet/group-changed", `the row of the group ${key} is another one by now`, { next: "decide anew" });
}
