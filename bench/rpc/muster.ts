import { sleepMs } from "../bench.ts";
import { loadMuster } from "../built-package.ts";
import type { RequestHandler } from "../../src/index.ts";
import type { Asking } from "../link/peers.ts";

const service = "ECHO";
const type = "echo";
const deadlineMs = 500;
const hostRoutes = "host-route";
const hosts = 2;
const connectTimeoutMs = 20_000;

/** Words: the door of the library, the socket of the agent, and which of the servers it is (default the first). */
export async function serveMuster([library = "", agent = "", index = "1"]: readonly string[], begun: () => void): Promise<void> {
  const { connect } = await loadMuster(library);
  const fleet = await connect({ agent, name: `server ${index}`, timeoutMs: connectTimeoutMs });
  const handle: RequestHandler = (body) => {
    begun();
    return body;
  };
  // A program may be there before its host's route is.
  while (fleet.search(hostRoutes).length < hosts) await sleepMs(20);
  await fleet.serve("metadata", `${service}.${index}.1`, { port: 0, types: { [type]: { effect: "read", handle } } });
}

/**
 * Words: the door of the library, the socket of the agent, how many servers there are (default 1), and how many of them each request
 * is to go to (default: as the library sees fit).
 */
export async function connectMuster([library = "", agent = "", servers = "1", copies]: readonly string[]): Promise<Asking> {
  const { connect } = await loadMuster(library);
  const fleet = await connect({ agent, name: "caller", timeoutMs: connectTimeoutMs });
  while (fleet.findAll("metadata", service).length < Number(servers)) await sleepMs(20);
  const body = new Uint8Array(100).fill(120);
  const known = (["tied", "all", "none"] as const).find((one) => one === copies);
  const options = { deadlineMs, ...(known === undefined ? {} : { copies: known }) };
  return {
    ask: async () => {
      const answer = await fleet.request(service, type, body, options);
      return answer instanceof Uint8Array ? answer.length : 0;
    },
    close: () => fleet.close(),
  };
}
