import { errorOf } from "../kernel/index.ts";

/** How an attempt failed: can anything have reached the server? */
export interface Failure {
  /**
   * `unsent`: no connection to the attempt's own server came about. `broken`: there was one, and it ended; nobody knows what has
   * happened there. `elsewhere`: another place could not be reached (a proxy, the target of a redirect): what the server itself did
   * is not known either, but nothing is said against it.
   */
  readonly kind: "unsent" | "broken" | "elsewhere";
  /** For people. */
  readonly why: string;
}

/** Of these nothing can have been sent to the place that they name, whoever raises them. */
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

/** What went wrong on the network on the way to `origin`; undefined for everything else, which is the caller's own mistake or wish. */
export function failureOf(thrown: unknown, origin: string): Failure | undefined {
  let current: unknown = thrown;
  for (let depth = 0; depth < causesMax && typeof current === "object" && current !== null; depth++) {
    const kind = kindOf(current, origin);
    if (kind !== undefined) return { kind, why: errorOf(current).message || "the connection failed" };
    current = "cause" in current ? current.cause : undefined;
  }
  return undefined;
}

function kindOf(error: object, origin: string): Failure["kind"] | undefined {
  const code = codeOf(error);
  if (unsentCodes.has(code) || (eitherCodes.has(code) && isConnecting(error))) return notConnected[placeOf(error, origin)];
  return eitherCodes.has(code) || brokenCodes.has(code) || code.startsWith(parserPrefix) ? "broken" : undefined;
}

type Place = "own" | "other" | "unnamed";

/** Without a name it may have been any place, after anything. */
const notConnected: Readonly<Record<Place, Failure["kind"]>> = { own: "unsent", other: "elsewhere", unnamed: "broken" };

/** Of several addresses that were tried at once; nothing was sent when none of them was connected. */
function isConnecting(error: object): boolean {
  return partsOf(error).every((one) => "syscall" in one && one.syscall === "connect");
}

/** The place that could not be reached, as seen by the attempt. */
function placeOf(error: object, origin: string): Place {
  const own = URL.parse(origin);
  if (own === null) return "unnamed";
  // Which address a name means is not ours to know.
  const isName = !/^(\[.*\]|\d+(\.\d+){3})$/.test(own.hostname);
  const place = (one: object): Place => {
    if ("address" in one && "port" in one)
      return Number(one.port) === Number(own.port || 80) && (isName || canonical(one.address) === own.hostname) ? "own" : "other";
    if ("hostname" in one) return one.hostname === own.hostname ? "own" : "other";
    // undici names it in the message only; redirects are not followed where this is believed.
    return codeOf(one) === "UND_ERR_CONNECT_TIMEOUT" ? "own" : "unnamed";
  };
  const places = new Set(partsOf(error).map(place));
  return places.has("other") ? "other" : places.has("unnamed") ? "unnamed" : "own";
}

function canonical(address: unknown): string | undefined {
  const text = String(address);
  return URL.parse(`http://${text.includes(":") ? `[${text}]` : text}`)?.hostname;
}

function partsOf(error: object): readonly object[] {
  const parts: unknown[] = "errors" in error && Array.isArray(error.errors) ? error.errors : [];
  const objects = parts.filter((one) => typeof one === "object" && one !== null);
  return objects.length === 0 ? [error] : objects;
}

function codeOf(error: object): string {
  return "code" in error && typeof error.code === "string" ? error.code : "";
}
