import { type Effect, InvariantError, MusterError } from "../kernel/index.ts";
import { type Address, formatAddress } from "../transport/index.ts";
import type { VersionRange } from "./options.ts";

export function closedError(peer: Address, effect: Effect, cause?: Error): MusterError {
  const why = cause === undefined ? "" : `: ${cause.message}`;
  return new MusterError("link/closed", `the link with ${formatAddress(peer)} has ended${why}`, {
    effect,
    next: effect === "maybe" ? "ask whether it took effect before repeating it" : "connect again",
    cause,
  });
}

export function deadlineError(effect: Effect): MusterError {
  return new MusterError("link/deadline-exceeded", "no answer came before the deadline", {
    effect,
    next: "allow more time, or ask another server",
  });
}

export function tooManyCalls(callsMax: number): MusterError {
  return new MusterError("link/too-many-calls", `${callsMax} calls are in flight on this link, which is its limit`, {
    next: "wait for answers before asking on, or raise callsMax on both sides",
  });
}

export function answersNotRead(bytes: number): MusterError {
  return new MusterError("link/answers-not-read", `${bytes} bytes of answers wait for the caller to read them`, {
    next: "read answers before asking on",
  });
}

export function peerTooSlow(peer: Address, bytes: number): MusterError {
  return new MusterError("link/peer-too-slow", `${formatAddress(peer)} leaves ${bytes} bytes unread`, {
    next: "look at the load of that node",
  });
}

export function handshakeTimeout(peer: Address, timeoutMs: number): MusterError {
  return new MusterError("link/handshake-timeout", `${formatAddress(peer)} did not say hello within ${timeoutMs} ms`, {
    next: "check that a Muster node answers there",
  });
}

export function noCommonVersion(ours: VersionRange, theirs: VersionRange): MusterError {
  return new MusterError("link/no-common-version", `this side speaks protocol ${rangeText(ours)}, the other one ${rangeText(theirs)}`, {
    next: "update the older side; neighbouring versions always understand each other",
  });
}

export function unexpectedFrame(what: string): MusterError {
  return new MusterError("link/unexpected-frame", `the peer broke the protocol: ${what}`, {
    next: "check that the other side is a Muster node",
  });
}

/** The cause stays on this side. */
function handlerFailed(cause: unknown): MusterError {
  return new MusterError("link/handler-failed", "the other side failed while it worked on this", {
    effect: "maybe",
    next: "look into the log of the node that was asked",
    cause,
  });
}

export function cancelled(): MusterError {
  return new MusterError("link/cancelled", "the caller no longer wants the answer", { effect: "maybe" });
}

/** What the peer may know of something that a handler threw. Broken invariants are not answered: they stop the process. */
export function tellable(thrown: unknown): MusterError {
  if (thrown instanceof InvariantError) throw thrown;
  return thrown instanceof MusterError ? thrown : handlerFailed(thrown);
}

const textCharsMax = 4096;

/** The form that crosses the link, cut where a message quotes something huge. */
export function wireForm(error: MusterError): ReturnType<MusterError["toJSON"]> {
  const { message, next, ...rest } = error.toJSON();
  const form = { ...rest, message: message.slice(0, textCharsMax) };
  return next === undefined ? form : { ...form, next: next.slice(0, textCharsMax) };
}

function rangeText({ min, max }: VersionRange): string {
  return min === max ? String(max) : `${min} to ${max}`;
}
