import { writeFileSync } from "node:fs";
import path from "node:path";
import { type Contender, hostsPlace, loopbackPlace, portOf } from "./contender.ts";
import { HttpCaller, serveHttp } from "./http.ts";

const check =
  "check inter 100ms fastinter 50ms fall 2 rise 2 observe layer7 error-limit 2 on-error mark-down on-marked-down shutdown-sessions";

/** As a careful operator sets it up for this: checks each 100 ms, passive checks, retries at another server. Gives the file. */
function writeConfiguration(folder: string, bind: string, servers: readonly string[]): string {
  const lines = [
    "defaults",
    "  mode http",
    "  timeout connect 100ms",
    "  timeout client 50s",
    "  timeout server 200ms",
    "listen fleet",
    `  bind ${bind}`,
    "  balance roundrobin",
    "  option httpchk GET /health",
    "  option redispatch 1",
    "  retries 3",
    "  retry-on all-retryable-errors",
    "  timeout check 100ms",
    ...servers.map((server, index) => `  server s${index} ${server} ${check}`),
    "",
  ];
  const file = path.join(folder, "haproxy.cfg");
  writeFileSync(file, lines.join("\n"));
  return file;
}

/** In front of plain Node servers; the caller asks the proxy and tries nothing twice. */
export const haproxy: Contender = {
  name: "HAProxy, aggressive checks",
  peer: true,
  debian: ["haproxy"],
  arrange: async (context) => {
    const place = await loopbackPlace(context, []);
    const file = writeConfiguration(context.folder(), place.caller, place.servers);
    const start = () => context.server("haproxy", ["-db", "-f", file], portOf(place.caller));
    let proxy = await start();
    return {
      place,
      faults: {
        directory: async () => {
          await proxy.stop();
          proxy = await start();
        },
      },
      close: () => proxy.stop(),
    };
  },
  /** On the caller's host, with each server under both of its addresses. */
  settle: (hosts) => {
    const place = hostsPlace(hosts, []);
    const servers = place.servers.flatMap((server, index) => (hosts.servers[index] ?? []).map((address) => `${address}:${portOf(server)}`));
    const file = writeConfiguration(hosts.folder, `0.0.0.0:${portOf(place.caller)}`, servers);
    return { place, programs: [{ host: "caller", command: ["haproxy", "-db", "-f", file] }] };
  },
  serve: serveHttp,
  call: (place) => {
    const caller = new HttpCaller();
    return Promise.resolve(() => caller.ask(place.caller));
  },
};
