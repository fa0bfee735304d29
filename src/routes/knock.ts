import { MusterError } from "../kernel/index.ts";
import type { Endpoint, Transport } from "../transport/index.ts";

/**
 * Whether the system behind an address lives, although nobody answers probes there: a refused connection is an answer too. So
 * a dead or stopped agent is told from a dead host. Tried from each of the given own addresses (undefined: whichever the
 * system takes); never rejects.
 */
export async function knock(
  transport: Transport,
  from: readonly (string | undefined)[],
  to: Endpoint,
  timeoutMs: number,
): Promise<boolean> {
  const tries = from.map((localHost) => knockFrom(transport, localHost, to, timeoutMs));
  return (await Promise.all(tries)).includes(true);
}

async function knockFrom(transport: Transport, localHost: string | undefined, to: Endpoint, timeoutMs: number): Promise<boolean> {
  try {
    const connection = await transport.connect({ kind: "tcp", ...to }, { timeoutMs, ...(localHost === undefined ? {} : { localHost }) });
    connection.open({ data: () => {}, drain: () => {}, close: () => {} });
    connection.destroy();
    return true;
  } catch (thrown) {
    return thrown instanceof MusterError && (thrown.code === "transport/refused" || thrown.code === "transport/reset");
  }
}
