import { networkInterfaces } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { datagramConformance } from "../../src/testing/datagram-conformance.ts";
import { UdpDatagrams } from "../../src/transport/index.ts";

/** A port that nobody else uses: whoever runs these tests beside us joins the group too. */
const group = { host: "239.255.77.1", port: 20_000 + (process.pid % 40_000) };

const over =
  (host: string, foreign: string, groups = {}) =>
  async () => ({
    datagrams: new UdpDatagrams(),
    host,
    foreign,
    ...groups,
    settle: <T>(promise: Promise<T>) => promise,
    pass: () => wait(60),
    close: async () => {},
  });

datagramConformance("UDP over IPv4", over("127.0.0.1", "192.0.2.250", { group }));

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));
if (hasIpv6) datagramConformance("UDP over IPv6", over("::1", "2001:db8::250"));
