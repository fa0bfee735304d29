/** Which bytes of a representation of `size` bytes are asked for; `endByte` is the last one, as in HTTP. */
export type ByteRange =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly startByte: number; readonly endByte: number }
  | { readonly kind: "unsatisfiable" };

const whole: ByteRange = { kind: "whole" };

/**
 * Reads a `Range` header (RFC 9110 §14). What is not one well-formed byte range, several ranges included, is the whole:
 * a server may ignore the header, and a client that sent it must be ready for that.
 */
export function parseByteRange(header: string | undefined, size: number): ByteRange {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "");
  if (match === null) return whole;
  const first = match[1] ?? "";
  const last = match[2] ?? "";
  if (first === "") {
    if (last === "") return whole;
    const suffixBytes = Math.min(Number(last), size);
    return suffixBytes === 0 ? { kind: "unsatisfiable" } : { kind: "part", startByte: size - suffixBytes, endByte: size - 1 };
  }
  const startByte = Number(first);
  if (last !== "" && Number(last) < startByte) return whole;
  if (startByte >= size) return { kind: "unsatisfiable" };
  return { kind: "part", startByte, endByte: last === "" ? size - 1 : Math.min(Number(last), size - 1) };
}

/** Does an `If-Match` or `If-None-Match` header name this entity tag? Weak tags are compared weakly. */
export function namesTag(header: string, tag: string | undefined): boolean {
  if (header.trim() === "*") return tag !== undefined;
  return tag !== undefined && header.split(",").some((one) => one.trim().replace(/^W\//, "") === tag);
}
