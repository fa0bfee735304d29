/** Can what was asked for have happened? Retries look at this and never at messages. */
export type Effect = "none" | "maybe" | "done";

export interface MusterErrorOptions {
  readonly effect?: Effect;
  /** What the reader of the message should do next; printed after the cause. */
  readonly next?: string;
  readonly cause?: unknown;
}

/**
 * The one base of all errors that Muster raises. `code` is stable ("roll/key-claimed"); the registry of codes is
 * `docs/errors.md`, held equal to the sources by a test.
 */
export class MusterError extends Error {
  readonly code: string;
  readonly effect: Effect;
  readonly next: string | undefined;

  constructor(code: string, message: string, options: MusterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "MusterError";
    this.code = code;
    this.effect = options.effect ?? "none";
    this.next = options.next;
  }

  /** The form that crosses a link or an HTTP answer. */
  toJSON(): { code: string; message: string; effect: Effect; next?: string } {
    const { code, message, effect, next } = this;
    return next === undefined ? { code, message, effect } : { code, message, effect, next };
  }
}

/** Reads what `toJSON` wrote; anything else becomes an error with the code `fallbackCode`. */
export function parseMusterError(value: unknown, fallbackCode: string): MusterError {
  if (typeof value === "object" && value !== null && "code" in value && "message" in value) {
    const { code, message } = value;
    const effect = "effect" in value ? value.effect : "none";
    const next = "next" in value && typeof value.next === "string" ? { next: value.next } : {};
    if (typeof code === "string" && typeof message === "string")
      return new MusterError(code, message, { effect: effect === "maybe" || effect === "done" ? effect : "none", ...next });
  }
  return new MusterError(fallbackCode, "the other side failed without saying why", { effect: "maybe" });
}

/** Turns whatever was thrown into an error object. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** A broken invariant of our own: nothing sensible can follow, so the process stops. */
export class InvariantError extends Error {
  constructor(message: string) {
    super(`invariant broken: ${message}`);
    this.name = "InvariantError";
  }
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
