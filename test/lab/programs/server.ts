import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { connect } from "../../../src/index.ts";
import { serverAttributes } from "../scenario.ts";
import { parseOptions, takeOrders, tell } from "./parent.ts";
import { serveMembersWhenFree, serveWhenFree } from "./serve.ts";

/**
 * One server: takes so long for each request, and answers with its own name, by `fleet.request` and by HTTP. Or several servers, each of
 * which keeps a state together with servers elsewhere.
 */
const { agent, name, port, serviceTimeMs, maxPeriodMs, asking, members, folder } = parseOptions(process.argv[2]);
if (asking === "once") {
  const http = createServer((_request, response) => void setTimeout(serviceTimeMs).then(() => response.end(name)));
  http.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => http.listen(port + serverAttributes.httpPortOffset, "0.0.0.0", resolve));
}
const fleet = await connect({ agent, name, timeoutMs: 20_000 });
const task = { port, pause: (ms: number) => setTimeout(ms), serviceTimeMs, maxPeriodMs };
if (members.length > 0) await serveMembersWhenFree(fleet, { ...task, members, folder });
else await serveWhenFree(fleet, { ...task, server: name });
takeOrders(({ order }) => {
  if (order === "loop") for (;;);
});
tell({ news: "ready" });
