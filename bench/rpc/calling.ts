import { type ClosedLoopResult, closedLoop, serveParent } from "../bench.ts";
import { type Asking, type LoopPlan, body, endSoon, wayNamed } from "./way.ts";

/** A child of this bench: a caller. Arguments: the way to ask, then its words. */
const [word, ...words] = process.argv.slice(2);
let asking: Asking | undefined;

/** The plan is our own parent's. */
function parsePlan(value: unknown): LoopPlan {
  return value as LoopPlan;
}

serveParent({
  open: async (concurrency) => {
    asking = await wayNamed(word).connect(words, Number(concurrency));
    const first = await asking.ask();
    if (first !== body.length) throw new Error(`${first} bytes came back instead of ${body.length}`);
  },
  measure: (plan): Promise<ClosedLoopResult> => {
    if (asking === undefined) throw new Error("open comes first");
    return closedLoop(asking.ask, parsePlan(plan));
  },
  end: endSoon,
});
