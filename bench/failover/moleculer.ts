import { peerRequire, sleepMs } from "../bench.ts";
import { type Contender, type Place, arrangeAlone, hostsPlace, serverCount, serviceTimeMs } from "./contender.ts";

const action = "work.do";
const meshWithinMs = 25_000;

/** What a careful user would set; its defaults wait for ever and never try again. */
function brokerOf(place: Place, index: number) {
  const names = [...Array.from({ length: serverCount }, (_, server) => `server${server}`), "caller"];
  const urls = names.map((name, node) => `tcp://${[...place.servers, place.caller][node]}/${name}`);
  const { ServiceBroker } = peerRequire("moleculer");
  return new ServiceBroker({
    nodeID: names[index],
    namespace: "bench",
    logger: false,
    transporter: { type: "TCP", options: { udpDiscovery: false, urls } },
    requestTimeout: 500,
    retryPolicy: {
      enabled: true,
      retries: 5,
      delay: 10,
      factor: 2,
      check: (error?: { readonly retryable?: boolean }) => error?.retryable === true,
    },
    heartbeatInterval: 1,
    heartbeatTimeout: 3,
    circuitBreaker: {
      enabled: true,
      threshold: 0.5,
      minRequestCount: 5,
      windowTime: 10,
      halfOpenTime: 10_000,
      check: (error?: { readonly code?: number }) => (error?.code ?? 0) >= 500,
    },
  });
}

export const moleculer: Contender = {
  name: "Moleculer TCP, tuned",
  peer: true,
  debian: [],
  arrange: arrangeAlone,
  settle: (hosts) => ({ place: hostsPlace(hosts, []), programs: [] }),
  serve: async (place, index) => {
    const broker = brokerOf(place, index);
    const handler = async () => {
      await sleepMs(serviceTimeMs);
      return index;
    };
    broker.createService({ name: "work", actions: { do: handler } });
    await broker.start();
  },
  call: async (place, lost) => {
    const broker = brokerOf(place, serverCount);
    broker.localBus.on("$node.disconnected", lost);
    await broker.start();
    const untilMs = performance.now() + meshWithinMs;
    while ((broker.registry.getActionEndpoints(action)?.endpoints.length ?? 0) < serverCount) {
      if (performance.now() > untilMs) throw new Error(`Moleculer's nodes did not find each other within ${meshWithinMs} ms`);
      await sleepMs(50);
    }
    return () => broker.call(action, {});
  },
};
