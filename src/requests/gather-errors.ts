import { MusterError } from "../kernel/index.ts";

const notAwaitedCode = "requests/not-awaited";

export function badUntil(until: unknown): MusterError {
  return new MusterError("requests/bad-until", `${JSON.stringify(until) ?? "nothing"} does not say when a gather is complete`, {
    next: 'choose "all", "quorum", "first", or how many answers from 1 on',
  });
}

/** Several servers would each do it. */
export function notARead(key: string, type: string): MusterError {
  return new MusterError("requests/not-a-read", `${type} at ${key} is a write, which several servers must not each do`, {
    next: "ask one with request; or declare the type as read or repeatable, if it is one: muster types set SERVICE/TYPE --effect read",
  });
}

/** A request ended because enough others were answered. */
export function isNotAwaited(thrown: unknown): boolean {
  const cause = thrown instanceof MusterError && thrown.code === "requests/aborted" ? thrown.cause : undefined;
  return cause instanceof MusterError && cause.code === notAwaitedCode;
}

/** Why a server was not waited for, and what its handler is told. */
export function notAwaited(server: string, why: string): MusterError {
  return new MusterError(notAwaitedCode, `${server} was not waited for: ${why}`, { effect: "maybe" });
}
