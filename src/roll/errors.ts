import { MusterError, limits } from "../kernel/index.ts";

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

export function changeTooLarge(bytes: number): Refusal {
  return refusal(
    "roll/change-too-large",
    `the change has ${bytes} bytes with what follows from it, the limit is ${limits.changeBytesMax}`,
    "split it into several changes",
  );
}

/** What a call towards the directory is told while nobody is followed; the reason why, if there is one. */
export function noParent(lastError: MusterError | undefined): MusterError {
  return (
    lastError ?? new MusterError("roll/no-parent", "no parent is reached", { next: "start an agent, or check --parent and MUSTER_AGENT" })
  );
}
