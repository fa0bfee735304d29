import type { Fleet, ServedEntry } from "../../../src/index.ts";
import { MusterError } from "../../../src/kernel/index.ts";
import { serverAttributes } from "../scenario.ts";

/** What a refused registration says while somebody else's is still believed to live. */
const heldCode = "roll/key-claimed";
const pauseMs = 200;
const attemptsMax = 100;

/** How a server works: `work` is its service time. */
export interface ServerTask {
  readonly server: string;
  readonly port: number;
  readonly pause: (ms: number) => Promise<void>;
  readonly serviceTimeMs: number;
  readonly maxPeriodMs: number;
}

/**
 * Serves, and answers each request with its own name. Registers again and again while its former life still holds the key: whoever
 * restarts a server does the same. Rejects after 20 s, and with any other refusal.
 */
export async function serveWhenFree(fleet: Fleet, { server, port, pause, serviceTimeMs, maxPeriodMs }: ServerTask): Promise<ServedEntry> {
  const { table, type } = serverAttributes;
  const handle = async () => {
    await pause(serviceTimeMs);
    return server;
  };
  for (let attempt = 1; ; attempt++)
    try {
      return await fleet.serve(table, server, { port, maxPeriodMs, types: { [type]: { effect: "read", handle } } });
    } catch (thrown) {
      if (attempt === attemptsMax || !(thrown instanceof MusterError && thrown.code === heldCode)) throw thrown;
      await pause(pauseMs);
    }
}
