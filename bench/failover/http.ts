import { createServer } from "node:http";
import { peerRequire } from "../bench.ts";
import { type Place, deadlineMs, portOf, serverOf, serviceTimeMs } from "./contender.ts";

/** The plain Node server that several contenders have in common: every request is answered after the service time. */
export async function serveHttp(place: Place, index: number): Promise<void> {
  const server = createServer((request, response) => {
    if (request.url === "/health") response.end("ok");
    else setTimeout(() => response.end("done"), serviceTimeMs);
  });
  // Longer than any pause of the bench: a connection that is closed for idleness is not what is measured.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(portOf(serverOf(place, index)), place.listen, resolve));
}

/** What undici needs of its pools here. */
interface Pool {
  request(options: { readonly path: string; readonly method: "GET"; readonly signal: AbortSignal }): Promise<{
    readonly statusCode: number;
    readonly body: { text(): Promise<string> };
  }>;
}

/** Asks servers by undici, one pool of connections for each; no request is sent twice. */
export class HttpCaller {
  readonly #pools = new Map<string, Pool>();

  /** `server` is H:P. */
  async ask(server: string): Promise<string> {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), deadlineMs);
    try {
      const { statusCode, body } = await this.#pool(server).request({ path: "/do", method: "GET", signal: limit.signal });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
      return text;
    } finally {
      clearTimeout(timer);
    }
  }

  #pool(server: string): Pool {
    const known = this.#pools.get(server);
    if (known !== undefined) return known;
    const { Pool } = peerRequire("undici");
    const pool: Pool = new Pool(`http://${server}`, { connections: 512, pipelining: 1 });
    this.#pools.set(server, pool);
    return pool;
  }
}

/** One after the other, whatever the list is at the moment. */
export class Turns {
  #next = 0;

  take<Item>(items: readonly Item[]): Item {
    const item = items[this.#next++ % items.length];
    if (item === undefined) throw new Error("no server is known");
    return item;
  }
}
