import { type Contender, arrangeAlone, hostsPlace } from "./contender.ts";
import { HttpCaller, Turns, serveHttp } from "./http.ts";

/** The floor of all: a fixed list of servers, asked in turn, and no second try. */
export const plain: Contender = {
  name: "undici, a fixed list",
  peer: true,
  debian: [],
  arrange: arrangeAlone,
  settle: (hosts) => ({ place: hostsPlace(hosts, []), programs: [] }),
  serve: serveHttp,
  call: ({ servers }) => {
    const [caller, turns] = [new HttpCaller(), new Turns()];
    return Promise.resolve(() => caller.ask(turns.take(servers)));
  },
};
