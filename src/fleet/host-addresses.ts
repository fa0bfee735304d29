import { type Clock, MusterError } from "../kernel/index.ts";
import { type Replica, parseHostRouteKey, parseRouteAddress, parseText, tableNumbers } from "../tables/index.ts";

/** A program may be quicker than the news of its host's routes: so long it waits for the first of them. */
const firstRouteMs = 5000;

/** The addresses of hosts by the rows of their routes, as a replica has them. */
export class HostAddresses {
  readonly #replica: Replica;
  readonly #clock: Clock;

  constructor(replica: Replica, clock: Clock) {
    this.#replica = replica;
    this.#clock = clock;
  }

  /** Of all routes of the host, also of those that are cut at present. */
  of(host: string): readonly string[] {
    const addresses = this.#replica.rowsBelow(tableNumbers.hostRoute, `${host}.`).flatMap(({ key, text }) => {
      return parseHostRouteKey(key)?.host === host ? (parseRouteAddress(parseText(text)) ?? []) : [];
    });
    return [...new Set(addresses)];
  }

  /** The same, as soon as there is one. Throws `fleet/no-route` when the host has none within 5 s. */
  async whenKnown(host: string): Promise<readonly string[]> {
    if (this.of(host).length === 0) await this.#change(() => this.of(host).length > 0);
    const addresses = this.of(host);
    if (addresses.length > 0) return addresses;
    throw new MusterError("fleet/no-route", `the host ${host} has no route to listen on`, {
      next: `start its agent with --route ADDRESS, or pass { listen }`,
    });
  }

  /** Calls back with each host whose routes changed, and once without one when all may have. Returns what ends it. */
  observe(changed: (host: string | undefined) => void): () => void {
    return this.#replica.observe({
      touched: (table, key) => {
        const host = table === tableNumbers.hostRoute ? parseHostRouteKey(key)?.host : undefined;
        if (host !== undefined) changed(host);
      },
      host: () => {},
      reset: () => changed(undefined),
    });
  }

  #change(isThere: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        timer.cancel();
        unobserve();
        resolve();
      };
      const unobserve = this.observe(() => {
        if (isThere()) end();
      });
      const timer = this.#clock.schedule(firstRouteMs, end);
    });
  }
}
