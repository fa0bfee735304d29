import { type Clock, compareRevision } from "../kernel/index.ts";
import { stateKey, statesTable } from "../tables/index.ts";
import { drainingState, isDraining } from "./drain.ts";
import type { Fleet } from "./fleet.ts";

/** A program's own entry, as it leaves. */
export interface Leaving {
  readonly table: string;
  readonly key: string;
  /** Lookups may name it, and it is this program that they mean. */
  readonly named: boolean;
  /** Resolves when its requests under way have been answered. */
  readonly drain: ((signal: AbortSignal) => void | Promise<void>) | undefined;
  readonly drainMs: number;
}

type LeavingFleet = Pick<Fleet, "change" | "detached" | "host" | "query" | "settled">;

/** Everybody is given so long to hear of it; a fleet that is larger or slower hears of it a little later than the program stops. */
const settleMsMax = 1000;

/**
 * Drains what a program serves before it leaves: marked together, waited for together, each with its own requests. The marks go with
 * the entries. Never rejects, and never takes longer than its bounds: a program must be able to end without its fleet.
 */
export async function drainOwn(fleet: LeavingFleet, clock: Clock, leaving: readonly Leaving[]): Promise<void> {
  const keys = leaving.flatMap(({ table, key, named }) => (named ? (stateKey(table, key) ?? []) : []));
  if (keys.length > 0 && !fleet.detached) await within(clock, settleMsMax, (signal) => markAll(fleet, clock, keys, signal));
  await Promise.all(
    leaving.map(async ({ drain, drainMs }) => {
      if (drain !== undefined) await within(clock, drainMs, async (signal) => drain(signal));
    }),
  );
}

async function markAll(fleet: LeavingFleet, clock: Clock, keys: readonly string[], signal: AbortSignal): Promise<void> {
  const value = drainingState("its program is closing", fleet.host ?? "its program", clock);
  const mark = async (key: string) => {
    const operation = { op: "add" as const, table: statesTable, key, value };
    try {
      return await fleet.change([operation], { ifRevision: [{ table: statesTable, key, revision: "absent" }], signal });
    } catch {
      signal.throwIfAborted();
      // What an operator has said of it everybody knows already; any other state gives way.
      return (await isDraining(fleet, key)) ? undefined : fleet.change([operation], { signal });
    }
  };
  const revisions = (await Promise.all(keys.map(mark))).filter((revision) => revision !== undefined);
  const newest = revisions.toSorted((a, b) => compareRevision(b, a))[0];
  if (newest !== undefined) await fleet.settled(newest, { signal });
}

/** Resolves when `work` has settled, at the latest after `limitMs`, when its signal is aborted. */
function within(clock: Clock, limitMs: number, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const limit = new AbortController();
  return new Promise((resolve) => {
    const timer = clock.schedule(limitMs, () => {
      limit.abort();
      resolve();
    });
    const done = () => {
      timer.cancel();
      resolve();
    };
    work(limit.signal).then(done, done);
  });
}
