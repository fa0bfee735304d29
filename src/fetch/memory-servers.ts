import { memoryDirectory } from "../testing/memory-directory.ts";
import type { FleetHandle } from "../fleet/index.ts";

/** What came to a server: enough to count and to look at. */
export interface Arrival {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

type Answer = (arrival: Arrival) => Response | Promise<Response>;

/**
 * HTTP servers in memory, by their origin: what a test puts in the place of the network. A server that is missing refuses; an answer
 * that rejects is a connection that ends.
 */
export class MemoryServers {
  readonly arrivals: Arrival[] = [];
  readonly #servers = new Map<string, Answer>();

  set(origin: string, answer: Answer): void {
    this.#servers.set(origin, answer);
  }

  remove(origin: string): void {
    this.#servers.delete(origin);
  }

  /** Arrivals at one server, or at all. */
  count(origin?: string): number {
    return this.arrivals.filter((arrival) => origin === undefined || arrival.origin === origin).length;
  }

  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    const answer = this.#servers.get(url.origin);
    if (answer === undefined) throw networkError("ECONNREFUSED", "connect", url);
    const { signal } = init;
    const body = init.body === undefined || init.body === null ? "" : await new Response(init.body).text();
    signal?.throwIfAborted();
    const arrival = { origin: url.origin, method: init.method ?? "GET", path: `${url.pathname}${url.search}`, body };
    this.arrivals.push(arrival);
    return await new Promise<Response>((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      Promise.resolve(answer(arrival)).then(resolve, reject);
    });
  };
}

/** As `fetch` rejects when the network fails; of a connection that did not come about it names the place. */
export function networkError(code: string, syscall: string, place?: URL): TypeError {
  const where = place === undefined ? {} : { address: place.hostname.replaceAll(/[[\]]/g, ""), port: Number(place.port || 80) };
  return new TypeError("fetch failed", { cause: Object.assign(new Error(`${syscall} ${code}`), { code, syscall, ...where }) });
}

/** Never answers. */
export function silence(): Promise<Response> {
  return new Promise(() => {});
}

/** A fleet of one node with two hosts, and the servers GW.1 (10.0.0.1:80) and GW.2 (10.0.0.2:80) of the service GW. */
export async function twoServers(): Promise<FleetHandle> {
  const fleet = await memoryDirectory();
  for (const number of [1, 2]) {
    await fleet.add("host-route", `HOST${number}.0`, `10.0.0.${number}`);
    await fleet.add("gateway", `GW.${number}`, { host: `HOST${number}`, port: 80 });
  }
  return fleet;
}

export const first = "http://10.0.0.1";
export const second = "http://10.0.0.2";
