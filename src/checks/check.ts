import { MusterError } from "../kernel/index.ts";

/** What to look at. */
export type Check =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** Healthy is a status of 200 … 299; redirects are not followed. */
  | { readonly kind: "http"; readonly url: string }
  /** Healthy is exit status 0. Run by the shell. */
  | { readonly kind: "command"; readonly command: string };

/** Where the checked server listens, for checks that do not say it themselves. */
export interface CheckPlace {
  readonly host: string;
  readonly port: number;
}

const checkCharactersMax = 1024;

/**
 * Reads a check as people write it. With a place: `tcp` (a connection to it), `http:/health` or `https:/health` (a request to
 * it). With or without: `tcp://H:P`, `http://H:P/health`, `https://…`. Anything else is a command line for the shell.
 * Throws `checks/bad-check`.
 */
export function parseCheck(text: string, place?: CheckPlace): Check {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed.length > checkCharactersMax) throw badCheck(`a check has 1 to ${checkCharactersMax} characters`);
  if (/[\u0000-\u0008\u000a-\u001f]/.test(trimmed)) throw badCheck("a check holds no control characters");
  if (trimmed === "tcp") return { kind: "tcp", ...need(trimmed, place) };
  if (trimmed.startsWith("tcp:")) return parseTcp(trimmed);
  const relative = /^(https?):(\/(?!\/).*)?$/.exec(trimmed);
  if (relative !== null) {
    const { host, port } = need(trimmed, place);
    return { kind: "http", url: parseUrl(`${relative[1]}://${bracketed(host)}:${port}${relative[2] ?? "/"}`) };
  }
  if (/^https?:/.test(trimmed)) return { kind: "http", url: parseUrl(trimmed) };
  return { kind: "command", command: trimmed };
}

/** A check as people write it. */
export function formatCheck(check: Check): string {
  switch (check.kind) {
    case "tcp":
      return `tcp://${bracketed(check.host)}:${check.port}`;
    case "http":
      return check.url;
    case "command":
      return check.command;
  }
}

function need(text: string, place: CheckPlace | undefined): CheckPlace {
  if (place === undefined) throw badCheck(`"${text}" needs an entry that is a server route`);
  return { host: place.host, port: place.port };
}

function parseTcp(text: string): Check {
  const match = /^tcp:\/\/(?:\[([^\]]+)\]|([^:/[\]]+)):(\d{1,5})\/?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65_535)) throw badCheck(`"${text}" is not tcp://HOST:PORT`);
  return { kind: "tcp", host, port };
}

function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || url.hostname === "") throw badCheck(`"${text}" is not a URL`);
  return url.href;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function badCheck(why: string): MusterError {
  return new MusterError("checks/bad-check", `this is not a check: ${why}`, {
    next: "write tcp, tcp://HOST:PORT, http:/health, http://HOST:PORT/health, or a command that exits 0 when all is well",
  });
}
