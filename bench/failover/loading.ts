import { isRecord } from "../../src/kernel/index.ts";
import { Load, type LoadPorts, type LoadReport } from "../../test/lab/index.ts";
import { type Child, serveParent, sharedNowMs } from "../bench.ts";
import { type Ask, deadlineMs } from "./contender.ts";

/** Whatever a client thinks of deadlines, the caller has one: later is no answer. */
export function withinDeadline(ask: Ask): Ask {
  return () =>
    new Promise((resolve, reject) => {
      const untilMs = sharedNowMs() + deadlineMs;
      const late = () => reject(new Error(`no answer within ${deadlineMs} ms`));
      const timer = setTimeout(late, deadlineMs);
      ask()
        .then((answer) => (sharedNowMs() > untilMs ? late() : resolve(answer)), reject)
        .finally(() => clearTimeout(timer));
    });
}

export const loadPorts: LoadPorts = {
  nowMs: sharedNowMs,
  every: (periodMs: number, run: () => void) => {
    const timer = setInterval(run, periodMs);
    return () => clearInterval(timer);
  },
  after: (delayMs: number, run: () => void) => void setTimeout(run, delayMs),
};

/** The child's side: a caller that asks at a steady rate, whether or not earlier requests are answered. */
export function serveLoad(open: () => Promise<Ask>): void {
  let load: Load | undefined;
  serveParent({
    open: async () => {
      const ask = await open();
      await ask();
      load = new Load("caller", withinDeadline(ask), loadPorts, () => {});
    },
    begin: (plan) => {
      if (isRecord(plan)) load?.begin(Number(plan["perSecond"]), Number(plan["countFromMs"]));
    },
    /** Waits for what is open. */
    end: (): Promise<LoadReport> | undefined => load?.end(deadlineMs + 500),
  });
}

/** The parent's side: asks for no more, and tells what became of it. */
export async function endLoad(caller: Child): Promise<LoadReport> {
  return parseReport(await caller.call("end"));
}

/** The report is our own child's. */
function parseReport(value: unknown): LoadReport {
  if (!isRecord(value) || typeof value["sent"] !== "number") throw new Error("the caller gave no report");
  return value as unknown as LoadReport;
}
