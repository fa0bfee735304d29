import { MusterError } from "../kernel/index.ts";

/** A refusal decided by the directory's rules: it is an outcome, committed like any other, and carried as data. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly next?: string;
}

export function refusal(code: string, message: string, next?: string): Refusal {
  return next === undefined ? { code, message } : { code, message, next };
}

/** The error a writer sees for a refusal. `roll/expired` may hide an outcome that nobody remembers, so it says "maybe". */
export function errorOfRefusal(refused: Refusal): MusterError {
  const effect = refused.code === "roll/expired" || refused.code === "roll/not-durable" ? "maybe" : "none";
  return new MusterError(refused.code, refused.message, { effect, ...(refused.next === undefined ? {} : { next: refused.next }) });
}

/** Not an outcome but a request to the writer: send all that is open again, in order. */
export const resendCode = "roll/resend";
