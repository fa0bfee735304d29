import { type ClosedLoopResult, closedLoop, serveParent } from "../bench.ts";
import { type Ask, deadlineMs } from "./contender.ts";
import { contenderNamed, parsePlace } from "./contenders.ts";

/** A child: the caller of a contender. Arguments: the contender, its place. */
const [word, place] = process.argv.slice(2);
const concurrency = 16;
let ask: Ask | undefined;
let failed = 0;

/** Whatever a client thinks of deadlines, its caller has one: later is no answer. */
function withinDeadline(one: Ask): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
    one()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

/** What counts is the time until there is an answer: a call that fails is made again. */
async function untilAnswered(one: Ask): Promise<void> {
  for (;;)
    try {
      await withinDeadline(one);
      return;
    } catch {
      failed++;
    }
}

serveParent({
  open: async () => {
    ask = await contenderNamed(word).call(parsePlace(place));
    await untilAnswered(ask);
  },
  measure: async (ms): Promise<ClosedLoopResult & { readonly failed: number }> => {
    const one = ask;
    if (one === undefined) throw new Error("open comes first");
    failed = 0;
    const result = await closedLoop(() => untilAnswered(one), { concurrency, warmMs: 0, ms: Number(ms) });
    return { ...result, failed };
  },
});
