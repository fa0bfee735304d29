import { DueRing } from "./due-ring.ts";
import { LatencyEstimate } from "./latency-estimate.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import { RetryBudget } from "./retry-budget.ts";
import { TypeCounts } from "./type-metrics.ts";

/** What a program keeps of one type of request of a service, over all its servers. */
export class TypeRecord {
  readonly service: string;
  readonly type: string;
  /** Pays for re-sends and for copies. */
  readonly budget: RetryBudget;
  /** Requests that wait for it to pay. */
  owing = 0;
  readonly times = new LatencyEstimate();
  /** Of requests that were answered, from the call to the answer. */
  readonly latency = new LatencyHistogram();
  readonly counts = new TypeCounts();
  /** When a copy of a request that has begun is due. */
  readonly hedges = new DueRing((request, dueMonoMs) => !request.hasEnded && request.copies?.hedgeMonoMs === dueMonoMs);

  constructor(service: string, type: string, share: number, burst: number) {
    this.service = service;
    this.type = type;
    this.budget = new RetryBudget(share, burst);
  }
}
