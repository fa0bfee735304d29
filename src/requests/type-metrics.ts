import type { SpareKind } from "./spare.ts";
import type { TypeRecord } from "./type-record.ts";

/** Types that are shown: those that were asked for first. */
const typesMax = 1000;

/** What became of the requests of one type, in whole numbers that only grow. */
export class TypeCounts {
  failed = 0;
  notAwaited = 0;
  moved = 0;
  budgetSpent = 0;
  budgetWaits = 0;
  bothStarted = 0;
  readonly copies: Record<SpareKind, number> = { twin: 0, hedge: 0, all: 0 };
  readonly copiesUnpaid = { twin: 0, hedge: 0 };
  readonly wins: Record<SpareKind | "first", number> = { first: 0, twin: 0, hedge: 0, all: 0 };
}

/** What one program knows of its requests of one type of a service; numbers since it began. */
export interface RequestTypeMetrics {
  readonly service: string;
  readonly type: string;
  /** Requests that were answered. */
  readonly answered: number;
  /** Requests that were sent and ended in an error, or as unknown. */
  readonly failed: number;
  /** Members of a gather that were not waited for, because enough others have answered. */
  readonly notAwaited: number;
  /** From the call to the answer, in milliseconds; NaN while nothing was answered. Quantiles are exact to a quarter, upwards. */
  readonly latencyMs: {
    readonly sum: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    /** How many took less than `endMs`; the last one ends at Infinity and holds all. */
    readonly buckets: readonly { readonly endMs: number; readonly count: number }[];
  };
  /** Requests that were sent to another server, or again, because something befell an attempt. */
  readonly moved: number;
  /** Requests that failed because the budget for asking again was spent. */
  readonly budgetSpent: number;
  /** Times that a request waited for what its next attempt costs, whatever became of it. */
  readonly budgetWaits: number;
  /** Further copies of reads that went out. */
  readonly copies: { readonly twin: number; readonly hedge: number; readonly all: number };
  /** Further copies that did not go out because the budget was spent. */
  readonly copiesUnpaid: { readonly twin: number; readonly hedge: number };
  /** Of requests with several copies: which one was answered first. */
  readonly wins: { readonly first: number; readonly twin: number; readonly hedge: number; readonly all: number };
  /** Pairs of which both copies began, although one was enough. */
  readonly bothStarted: number;
}

export interface RequestMetrics {
  /** Requests without an outcome, now. */
  readonly pending: number;
  /** Messages that asked a server for something, re-sends and copies included. */
  readonly sent: number;
  /** Connections to servers, now. */
  readonly channels: number;
  /** In the order in which they were first asked for; at most 1,000. */
  readonly types: readonly RequestTypeMetrics[];
  /** Types that are not shown. */
  readonly typesLeftOut: number;
}

export const noRequests: RequestMetrics = Object.freeze({ pending: 0, sent: 0, channels: 0, types: [], typesLeftOut: 0 });

export function typeMetrics(records: Iterable<TypeRecord>): Pick<RequestMetrics, "types" | "typesLeftOut"> {
  const types: RequestTypeMetrics[] = [];
  let typesLeftOut = 0;
  for (const record of records) {
    if (types.length < typesMax) types.push(metricsOf(record));
    else typesLeftOut++;
  }
  return { types, typesLeftOut };
}

function metricsOf({ service, type, latency, counts }: TypeRecord): RequestTypeMetrics {
  const { copies, copiesUnpaid, wins, failed, notAwaited, moved, budgetSpent, budgetWaits, bothStarted } = counts;
  const quantile = (share: number) => latency.quantileMs(share);
  return {
    service,
    type,
    answered: latency.count,
    failed,
    notAwaited,
    latencyMs: {
      sum: latency.sumMs,
      p50: quantile(0.5),
      p90: quantile(0.9),
      p99: quantile(0.99),
      p999: quantile(0.999),
      buckets: latency.octaves(),
    },
    moved,
    budgetSpent,
    budgetWaits,
    copies: { ...copies },
    copiesUnpaid: { ...copiesUnpaid },
    wins: { ...wins },
    bothStarted,
  };
}
