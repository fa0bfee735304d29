import { MusterError } from "../kernel/index.ts";

/**
 * A door on loopback is meant for programs of this machine. A web page can make its own name resolve to 127.0.0.1 (DNS
 * rebinding) and call the door as "the same site"; its requests carry that name as Host, so they are refused here. Throws
 * `doors/foreign-host`.
 */
export function checkHost(request: Request): void {
  const host = request.headers.get("host") ?? new URL(request.url).host;
  if (isLoopbackName(host)) return;
  throw new MusterError("doors/foreign-host", `this door serves loopback only, not requests for ${JSON.stringify(host)}`, {
    next: "call it as 127.0.0.1 or localhost, or serve HTTP on another address: --http H:P",
  });
}

/** A browser says where a request that writes comes from; pages of other origins may not. Throws `doors/foreign-origin`. */
export function checkOrigin(request: Request): void {
  const origin = request.headers.get("origin");
  if (origin === null || request.method === "GET" || request.method === "HEAD") return;
  const host = request.headers.get("host") ?? new URL(request.url).host;
  if (URL.parse(origin)?.host === host) return;
  throw new MusterError("doors/foreign-origin", `pages of ${JSON.stringify(origin)} may not change the roll`, {
    next: "call the door from a program, or from a page of its own origin",
  });
}

function isLoopbackName(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name);
}
