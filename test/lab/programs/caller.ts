import { connect } from "../../../src/index.ts";
import { Load } from "../load.ts";
import { askByRequest, askOnce } from "./ask.ts";
import { monoMs, parseOptions, takeOrders, tell } from "./parent.ts";

/** Asks at a steady rate and counts what becomes of its requests. */
const { agent, name, service, deadlineMs, asking } = parseOptions(process.argv[2]);
const fleet = await connect({ agent, name, timeoutMs: 20_000 });
const ports = {
  nowMs: monoMs,
  every: (periodMs: number, run: () => void) => {
    const timer = setInterval(run, periodMs);
    return () => clearInterval(timer);
  },
  after: (delayMs: number, run: () => void) => void setTimeout(run, delayMs),
};
const ask = asking === "once" ? askOnce(fleet, service, deadlineMs) : askByRequest(fleet, service, deadlineMs);
const load = new Load(name, ask, ports, (failure) => tell({ news: "first-failure", failure }));
takeOrders((order) => {
  if (order.order === "begin") load.begin(order.requestsPerSecond, order.countFromMs);
  if (order.order === "end") void load.end(deadlineMs + 1000).then((report) => tell({ news: "report", report }));
});
tell({ news: "ready" });
