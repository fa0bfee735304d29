import { sleepMs } from "../bench.ts";
import { loadMuster } from "../built-package.ts";
import { type CliNode, startAgent, startDirectory, startRelay } from "../cli-fleet.ts";
import { type Ask, type Contender, controlOf, deadlineMs, serverCount, serviceTimeMs } from "./contender.ts";

const table = "metadata";
export const service = "WORK";
const maxPeriodMs = 300;

/** A directory, two relays, and five hosts: one for each server, one for the caller. All hosts follow the first relay. */
export const muster: Contender = {
  name: "Muster",
  peer: false,
  debian: [],
  arrange: async (context, library) => {
    const directory = await startDirectory(context);
    const relays = [await startRelay(context, [directory]), await startRelay(context, [directory])];
    const agents = await Promise.all(
      Array.from({ length: serverCount + 1 }, (_, host) =>
        startAgent(context, `HOST${host + 1}`, `127.0.0.${host + 11}`, [...relays, directory]),
      ),
    );
    const restart = async (node: CliNode | undefined) => {
      await node?.kill();
      await node?.start();
    };
    return {
      place: { listen: "127.0.0.1", servers: [], caller: "", control: [library, ...agents.map(({ socket }) => socket)] },
      faults: { directory: () => restart(directory), relay: async () => relays[0]?.kill() },
      close: async () => {
        await Promise.all([...agents, ...relays, directory].map((node) => node.kill()));
      },
    };
  },
  serve: async (place, index) => {
    const { connect } = await loadMuster(controlOf(place, 0));
    const fleet = await connect({ agent: controlOf(place, index + 1), name: `server ${index}`, timeoutMs: 20_000 });
    const handle = async () => {
      await sleepMs(serviceTimeMs);
      return "done";
    };
    await fleet.serve(table, `${service}.${index + 1}.1`, { port: 0, maxPeriodMs, types: { read: { effect: "read", handle } } });
  },
  call: (place, lost) => callMuster(controlOf(place, 0), controlOf(place, serverCount + 1), serverCount, lost),
};

/** A program on the host of that agent, once it knows so many servers. */
export async function callMuster(library: string, agent: string, servers: number, lost: () => void): Promise<Ask> {
  const { connect } = await loadMuster(library);
  const fleet = await connect({ agent, name: "caller", timeoutMs: 20_000 });
  fleet.subscribe({ tables: [table], prefix: service }, ({ entry }) => {
    if (entry?.valid === false) lost();
  });
  while (fleet.findAll(table, service).length < servers) await sleepMs(20);
  return () => fleet.request(service, "read", null, { table, deadlineMs });
}
