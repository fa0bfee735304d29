import { sleepMs } from "../bench.ts";
import { loadMuster } from "../built-package.ts";
import { type Contender, agentOf, deadlineMs, servers } from "./contender.ts";

const table = "metadata";
const service = "WORK";
const type = "read";
const connectTimeoutMs = 20_000;

/** A read as it is by default: how many copies go out, and when, is the library's business. */
export const muster: Contender = {
  name: "Muster, a read",
  peer: false,
  needs: "fleet",
  serve: async (place, index, work) => {
    const { connect } = await loadMuster(place.library);
    const fleet = await connect({ agent: agentOf(place, index), name: `server ${index}`, timeoutMs: connectTimeoutMs });
    // A program may be there before its host's route is.
    while (fleet.search("host-route").length <= servers) await sleepMs(20);
    const handle = async () => {
      await work();
      return "done";
    };
    await fleet.serve(table, `${service}.${index + 1}.1`, { port: 0, types: { [type]: { effect: "read", handle } } });
  },
  call: async (place) => {
    const { connect } = await loadMuster(place.library);
    const fleet = await connect({ agent: agentOf(place, servers), name: "caller", timeoutMs: connectTimeoutMs });
    while (fleet.findAll(table, service).length < servers) await sleepMs(20);
    const options = { table, deadlineMs };
    return () => fleet.request(service, type, null, options);
  },
};
