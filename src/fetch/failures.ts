import { errorOf } from "../kernel/index.ts";

/** How an attempt failed: can anything have reached the server? */
export interface Failure {
  /** `unsent`: no connection came about. `broken`: there was one, and it ended; nobody knows what has happened there. */
  readonly kind: "unsent" | "broken";
  /** For people. */
  readonly why: string;
}

/** Of these nothing can have been sent, whoever raises them. */
const unsentCodes: ReadonlySet<string> = new Set(["ECONNREFUSED", "UND_ERR_CONNECT_TIMEOUT", "ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL"]);
/** Of these only when the connection was being made. */
const eitherCodes: ReadonlySet<string> = new Set([
  ...["EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN", "ETIMEDOUT", "ECONNRESET", "ECONNABORTED", "EPIPE", "EPROTO"],
]);
const brokenCodes: ReadonlySet<string> = new Set([
  ...[
    "UND_ERR_SOCKET",
    "UND_ERR_HEADERS_TIMEOUT",
    "UND_ERR_BODY_TIMEOUT",
    "UND_ERR_DESTROYED",
    "UND_ERR_CLOSED",
    "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
  ],
]);
/** Protocol trouble of undici's parser; its codes begin so. */
const parserPrefix = "HPE_";
const causesMax = 8;

/** What went wrong on the network; undefined for everything else, which is the caller's own mistake or wish. */
export function failureOf(thrown: unknown): Failure | undefined {
  let current: unknown = thrown;
  for (let depth = 0; depth < causesMax && typeof current === "object" && current !== null; depth++) {
    const kind = kindOf(current);
    if (kind !== undefined) return { kind, why: errorOf(current).message || "the connection failed" };
    current = "cause" in current ? current.cause : undefined;
  }
  return undefined;
}

function kindOf(error: object): Failure["kind"] | undefined {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const connecting = "syscall" in error && error.syscall === "connect";
  if (unsentCodes.has(code)) return "unsent";
  if (eitherCodes.has(code)) return connecting || isConnecting(error) ? "unsent" : "broken";
  return brokenCodes.has(code) || code.startsWith(parserPrefix) ? "broken" : undefined;
}

/** Several addresses were tried at once; nothing was sent when none of them was connected. */
function isConnecting(error: object): boolean {
  if (!("errors" in error) || !Array.isArray(error.errors) || error.errors.length === 0) return false;
  return error.errors.every((one: unknown) => typeof one === "object" && one !== null && "syscall" in one && one.syscall === "connect");
}
