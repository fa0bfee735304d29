/**
 * A place in a trace, as the W3C's Trace Context writes it (Level 2, https://www.w3.org/TR/trace-context-2/). It is carried and never
 * needed: what cannot be read is dropped by the rules given there, and the request goes on without it.
 */
export interface TraceContext {
  /** `00-`, 32 hexadecimal digits of the trace, 16 of the span, 2 of flags, with `-` in between. */
  readonly traceparent: string;
  /** What vendors add, at most 512 characters. */
  readonly tracestate?: string;
}

/** What stands for both in options of a request. */
export interface TraceOptions {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

const tracestateCharactersMax = 512;
const membersMax = 32;
/** Of a list that is too long the long members go first. */
const longMemberCharacters = 128;
/** Longer texts are not looked at: 32 members of 512 characters, and what stands between them. */
const readCharactersMax = 17_000;
const parentCharacters = 55;
/** Of both, as they travel. */
export const traceTextCharactersMax = parentCharacters + tracestateCharactersMax;

/** Later versions may say more behind the flags. */
const parentPattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?$/;
const memberPattern = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
/** "Sampled" and "random trace id"; what other bits mean nobody knows, so they are not passed on. */
const knownFlags = 3;

/** As version 00 says it; undefined for what is no place in a trace. */
export function parseTraceparent(text: unknown): string | undefined {
  if (typeof text !== "string" || text.length > tracestateCharactersMax) return undefined;
  const parts = parentPattern.exec(text);
  if (parts === null) return undefined;
  const [, version = "", trace = "", span = "", flags = "", more] = parts;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (isZero(trace) || isZero(span)) return undefined;
  const known = Number.parseInt(flags, 16) & knownFlags;
  return `00-${trace}-${span}-0${known}`;
}

/** The members that are kept, in order; undefined for a list that cannot be read, or of which nothing is left. */
export function parseTracestate(text: unknown): string | undefined {
  if (typeof text !== "string" || text.length > readCharactersMax) return undefined;
  const members = text
    .split(",")
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((member) => member !== "");
  if (members.length > membersMax || !members.every((member) => memberPattern.test(member))) return undefined;
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf("="))));
  if (keys.size < members.length) return undefined;
  return shortened(members).join(",") || undefined;
}

/** The newest stand first. */
function shortened(members: string[]): readonly string[] {
  let characters = members.reduce((sum, member) => sum + member.length + 1, -1);
  for (const isOpen of [(member: string) => member.length > longMemberCharacters, () => true])
    for (let index = members.length - 1; index >= 0 && characters > tracestateCharactersMax; index--) {
      const member = members[index];
      if (member === undefined || !isOpen(member)) continue;
      members.splice(index, 1);
      characters -= member.length + 1;
    }
  return members;
}

/** As it travels with a request: `traceparent`, which is always as long, and `tracestate` behind it. */
export function traceText({ traceparent, tracestate }: TraceOptions): string | undefined {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined || tracestate === undefined) return parent;
  return `${parent}${parseTracestate(tracestate) ?? ""}`;
}

/** What has travelled. */
export function readTraceText(text: string): TraceContext | undefined {
  const traceparent = parseTraceparent(text.slice(0, parentCharacters));
  if (traceparent === undefined) return undefined;
  const tracestate = text.length > parentCharacters ? parseTracestate(text.slice(parentCharacters)) : undefined;
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}

function isZero(digits: string): boolean {
  for (const digit of digits) if (digit !== "0") return false;
  return true;
}
