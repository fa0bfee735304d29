import { setTimeout as delay } from "node:timers/promises";
import { type Fleet, connect } from "../../../src/index.ts";
import { SystemRandom, errorOf } from "../../../src/kernel/index.ts";
import type { KeptLog } from "../histories/work.ts";
import { Worker, isWhole, readKept } from "../histories/worker.ts";
import { WorkLoads, workPatienceMs } from "../histories/working.ts";
import { Load } from "../load.ts";
import { type WorkPlan, groupsOf, serverAttributes } from "../scenario.ts";
import type { FailedRequest } from "../tally.ts";
import { askByRequest, askOnce } from "./ask.ts";
import { type Order, monoMs, parseOptions, takeOrders, tell } from "./parent.ts";

/** Asks at a steady rate and counts what becomes of its requests; of ordering groups it also writes down what it was told. */
const { agent, name, service, deadlineMs, asking, work, members, keepsAnswers } = parseOptions(process.argv[2]);
const wholeMsMax = 20_000;
const { table } = serverAttributes;
const fleet = await connect({ agent, name, timeoutMs: 20_000 });
const ports = {
  nowMs: monoMs,
  every: (periodMs: number, run: () => void) => {
    const timer = setInterval(run, periodMs);
    return () => clearInterval(timer);
  },
  after: (delayMs: number, run: () => void) => void setTimeout(run, delayMs),
};
const firstFailure = (failure: FailedRequest) => tell({ news: "first-failure", failure });

if (work === undefined) askServers();
else await workOnGroups(work);
tell({ news: "ready" });

function askServers(): void {
  const ask = asking === "once" ? askOnce(fleet, service, deadlineMs) : askByRequest(fleet, service, deadlineMs);
  const load = new Load(name, ask, ports, firstFailure, { keepsAnswers });
  takeOrders((order) => {
    if (order.order === "begin") load.begin(order.requestsPerSecond, order.countFromMs);
    if (order.order === "end") void load.end(deadlineMs + 1000).then((report) => tell({ news: "report", report }));
  });
}

/** Ready when every group has all its members: what is found out is not how a fleet begins. */
async function workOnGroups(plan: WorkPlan): Promise<void> {
  const groups = groupsOf(members);
  const endMs = monoMs() + wholeMsMax;
  while (![...groups].every(([group, servers]) => isWhole(fleet, table, group, servers.length))) {
    if (monoMs() > endMs) throw new Error(`the ordering groups were not whole in ${wholeMsMax} ms`);
    await delay(20);
  }
  const options = { caller: name, table, groups: [...groups.keys()], keysPerGroup: plan.keysPerGroup, deadlineMs };
  const worker = new Worker(options, { fleet, random: new SystemRandom(), nowMs: monoMs });
  const loads = new WorkLoads(name, worker, plan, ports, firstFailure);
  const orders: Partial<Record<Order["order"], () => Promise<void>>> = {
    end: async () => {
      const reports = await loads.end(workPatienceMs(deadlineMs));
      tell({ news: "worked", reports, operations: worker.operations });
    },
    "read-kept": async () => tell({ news: "kept", kept: await kept(fleet) }),
  };
  takeOrders((order) => {
    if (order.order === "begin") loads.begin(order.requestsPerSecond, order.countFromMs);
    else void orders[order.order]?.();
  });
}

async function kept(of: Fleet): Promise<readonly KeptLog[]> {
  try {
    return await readKept(of, table, members, workPatienceMs(deadlineMs));
  } catch (thrown) {
    process.stderr.write(`what servers keep could not be read: ${errorOf(thrown).message}\n`);
    return [];
  }
}
