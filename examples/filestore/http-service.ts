import { type Handler, HttpListener, parseListenAddresses } from "./http-server.ts";
import { type ServerArguments, type ServerKind, enterRoll, rollMsMax, within } from "./server-process.ts";

/** How long requests under way may go on after SIGTERM. */
const drainMsMax = 8000;
const maxPeriodMs = 3000;

export interface HttpService {
  /** The table that its servers are entered in. */
  readonly table: string;
  /** Its clients may stand still for so long. */
  readonly idleMs: number;
  readonly options?: Readonly<Record<string, string>>;
  start(given: ServerArguments): Promise<{
    readonly handler: Handler;
    /** After the last request was answered. */
    close(): Promise<void>;
  }>;
}

/** A kind of server that answers HTTP on the addresses of `--listen`, one for each route of its host. */
export function httpService({ table, idleMs, options, start }: HttpService): ServerKind {
  return {
    options: { listen: "127.0.0.1:0", ...options },
    start: async (given) => {
      const { key, fleet, log } = given;
      const addresses = parseListenAddresses(given.options["listen"] ?? "");
      const { handler, close } = await start(given);
      try {
        // Listening first: whoever finds the entry can call at once.
        const listener = await HttpListener.listen(addresses, handler, { idleMs, log });
        const entry = await enterRoll(() => fleet.serve(table, key, { port: listener.port, maxPeriodMs }));
        return {
          serves: `serves on port ${listener.port} as ${table} ${key}`,
          leave: async () => {
            await within(rollMsMax, entry.close());
            await listener.close(drainMsMax);
          },
          close,
        };
      } catch (thrown) {
        await close();
        throw thrown;
      }
    },
  };
}
