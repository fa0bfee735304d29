import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { StoreError, codeOf, messageOf } from "./errors.ts";

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** One request on its way through a handler. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path as it came, still percent-encoded: names may contain what a URL parser would fold away. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Call before the body is read: answers `Expect: 100-continue`, so that a refused upload is never sent. */
  acceptBody(): void;
}

export type Handler = (exchange: Exchange) => Promise<void>;

export interface ListenOptions {
  /** A client that neither sends nor takes a byte for so long is cut off. */
  readonly idleMs: number;
  readonly log: (line: string) => void;
}

/** "127.1.2.1:8080,[::1]:8080" */
export function parseListenAddresses(text: string): ListenAddress[] {
  return text.split(",").map((one) => {
    const match = /^\s*(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})\s*$/.exec(one);
    const port = Number(match?.[3]);
    if (match === null || port > 65_535)
      throw new StoreError(400, "filestore/bad-address", `"${one}" is not an address to listen on`, {
        next: "write ADDRESS:PORT, e.g. 127.0.0.1:8080",
      });
    return { address: match[1] ?? match[2] ?? "", port };
  });
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(text), ...headers });
  response.end(text);
}

/** Sends the bytes with the length that the head promised; a source that fails cuts the connection, so nobody takes a part for the whole. */
export async function sendBytes(response: ServerResponse, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await pipeline(Readable.from(bytes, { objectMode: false, highWaterMark: 256 * 1024 }), response);
}

function answerFailure(exchange: Exchange, thrown: unknown, log: (line: string) => void): void {
  const { request, response } = exchange;
  if (response.destroyed || request.socket.destroyed) return;
  const failure = thrown instanceof StoreError ? thrown : new StoreError(500, "filestore/internal", messageOf(thrown), { cause: thrown });
  if (failure.status >= 500) log(`${request.method} ${exchange.path}: ${failure.code}: ${failure.message}`);
  if (response.headersSent) response.destroy();
  else if (request.method === "HEAD") response.writeHead(failure.status, failure.headers).end();
  else sendJson(response, failure.status, failure, failure.headers);
}

/** The same requests on several addresses: a host can be reached over each of its routes. */
export class HttpListener {
  readonly #servers: Server[] = [];
  readonly #handler: Handler;
  readonly #options: ListenOptions;
  #draining = false;

  private constructor(handler: Handler, options: ListenOptions) {
    this.#handler = handler;
    this.#options = options;
  }

  static async listen(addresses: readonly ListenAddress[], handler: Handler, options: ListenOptions): Promise<HttpListener> {
    const listener = new HttpListener(handler, options);
    try {
      for (const address of addresses) listener.#servers.push(await listener.#open(address));
    } catch (thrown) {
      await listener.close(0);
      throw thrown;
    }
    return listener;
  }

  get port(): number {
    const address = this.#servers[0]?.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** No new connections; what is under way may end within `graceMs`, the rest is cut off. */
  async close(graceMs: number): Promise<void> {
    this.#draining = true;
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    // A connection whose answer was under way is kept alive afterwards unless somebody looks again.
    const idle = setInterval(() => this.#servers.forEach((server) => server.closeIdleConnections()), 20);
    const cut = setTimeout(() => this.#servers.forEach((server) => server.closeAllConnections()), graceMs);
    await Promise.all(closed);
    clearInterval(idle);
    clearTimeout(cut);
  }

  #open({ address, port }: ListenAddress): Promise<Server> {
    const server = createServer({ requestTimeout: 0, headersTimeout: 10_000, keepAliveTimeout: 30_000, noDelay: true });
    server.setTimeout(this.#options.idleMs);
    server.on("request", (request, response) => void this.#serve(request, response, false));
    server.on("checkContinue", (request, response) => void this.#serve(request, response, true));
    return new Promise((resolve, reject) => {
      server.once("error", (cause) => {
        const taken = codeOf(cause) === "EADDRINUSE";
        const next = taken
          ? "stop the program that listens there, or give --listen another port"
          : "give --listen an address of this machine";
        reject(new StoreError(500, "filestore/cannot-listen", cause.message, { next, cause }));
      });
      server.listen(port, address, () => {
        server.removeAllListeners("error");
        resolve(server);
      });
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): Promise<void> {
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    let accepted = !expectsContinue;
    const exchange: Exchange = {
      request,
      response,
      path: mark < 0 ? url : url.slice(0, mark),
      query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)),
      acceptBody: () => {
        if (!accepted) response.writeContinue();
        accepted = true;
      },
    };
    if (this.#draining) response.setHeader("connection", "close");
    // An upload that was refused before it was sent will not follow: the connection cannot be used for another request.
    if (expectsContinue) response.once("finish", () => (accepted ? undefined : request.socket.destroySoon()));
    try {
      await this.#handler(exchange);
    } catch (thrown) {
      answerFailure(exchange, thrown, this.#options.log);
    }
  }
}
