import { isRecord } from "../kernel/index.ts";

/** What a caller says of itself when it connects. */
export interface CallerHello {
  readonly role: "caller";
  readonly name: string;
  /** Tells callers apart; the same on all links of one caller. */
  readonly token: string;
}

const tokenPattern = /^[0-9a-f]{16,64}$/;

export function parseCallerHello(value: unknown): CallerHello | undefined {
  if (!isRecord(value) || value["role"] !== "caller") return undefined;
  const { name, token } = value;
  if (typeof name !== "string" || name.length > 300 || typeof token !== "string" || !tokenPattern.test(token)) return undefined;
  return { role: "caller", name, token };
}
