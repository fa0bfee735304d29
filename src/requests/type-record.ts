import { DueRing } from "./due-ring.ts";
import { LatencyEstimate } from "./latency-estimate.ts";
import { RetryBudget } from "./retry-budget.ts";

/** What a program keeps of one type of request of a service, over all its servers. */
export class TypeRecord {
  /** Pays for re-sends and for copies. */
  readonly budget: RetryBudget;
  readonly times = new LatencyEstimate();
  /** When a copy of a request that has begun is due. */
  readonly hedges = new DueRing((request, dueMonoMs) => !request.hasEnded && request.copies?.hedgeMonoMs === dueMonoMs);

  constructor(share: number, burst: number) {
    this.budget = new RetryBudget(share, burst);
  }
}
