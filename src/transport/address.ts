import { MusterError } from "../kernel/index.ts";

/** Where a link can be reached: a TCP address or the path of a unix socket. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** Reads `H:P`, `[::1]:P`, or a socket path (anything with a slash, or ending in `.sock`). Port 0 asks for a free one. */
export function parseAddress(text: string): Address {
  const trimmed = text.trim();
  if (trimmed.includes("/") || trimmed.endsWith(".sock")) return { kind: "unix", path: trimmed };
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(trimmed);
  const port = Number(match?.[3] ?? Number.NaN);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || !(port <= 65535))
    throw new MusterError("transport/bad-address", `"${text}" is not an address`, {
      next: "write HOST:PORT (127.0.0.1:7550), [IPV6]:PORT ([::1]:7550) or the path of a socket (./.muster/agent.sock)",
    });
  return { kind: "tcp", host, port };
}

export function formatAddress(address: Address): string {
  if (address.kind === "unix") return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether only programs on this machine can reach the address. */
export function isLoopback(address: Address): boolean {
  if (address.kind === "unix") return true;
  return address.host === "localhost" || address.host === "::1" || /^127(\.\d{1,3}){3}$/.test(address.host);
}
