import { Agent, get } from "node:http";
import type { Fleet } from "../../../src/index.ts";
import type { Ask } from "../load.ts";
import { serverAttributes } from "../scenario.ts";

/** By Muster's own request, which may move from server to server. */
export function askByRequest(fleet: Fleet, service: string, deadlineMs: number): Ask {
  const { table, type } = serverAttributes;
  return () => fleet.request(service, type, null, { table, deadlineMs });
}

/**
 * What a careful program does that only finds: look the server up, ask it once over a kept connection, give up at the deadline.
 * Nothing is sent again; it shows what a fault is without Muster's requests.
 */
export function askOnce(fleet: Fleet, service: string, deadlineMs: number): Ask {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return () =>
    new Promise<void>((resolve, reject) => {
      const route = fleet.find(serverAttributes.table, service);
      if (route === undefined) return reject(new Error(`no server of ${service} is known`));
      const request = get(
        { host: route.address, port: route.port + serverAttributes.httpPortOffset, agent, signal: AbortSignal.timeout(deadlineMs) },
        (response) => {
          response.resume();
          response.once("end", () => resolve());
          response.once("error", reject);
        },
      );
      request.once("error", reject);
    });
}
