import { violation } from "../roll/violation.ts";
import type { CallerOptions, OrderingCaller } from "./caller.ts";
import type { OrderingStage, StageHost } from "./stage.ts";

type AnyStage = OrderingStage<StageHost, CallerOptions, OrderingCaller, string>;

/** What is broken in a promise that nobody waits for must end the run, too. */
export async function watched<T>({ world }: AnyStage, run: () => Promise<T>): Promise<T> {
  const fail = (thrown: unknown) => world.fail(thrown);
  process.on("unhandledRejection", fail);
  try {
    return await run();
  } finally {
    process.off("unhandledRejection", fail);
  }
}

/** From here on nothing goes wrong any more, all programs run again, and callers begin nothing new. */
export function mend(stage: AnyStage): void {
  stage.trace?.("MENDED");
  stage.calm();
  stage.paths.mend();
  stage.roll.mend();
  for (const host of stage.hosts) {
    host.disk.slow(stage.options.commitMs, stage.options.commitMs);
    host.node.resume();
    if (!host.node.alive) host.restart();
    stage.roll.validate(host.server);
  }
  for (const caller of stage.callers) caller.stop();
}

/** Looks every few milliseconds: cheaper than after each event. */
export async function runUntil({ world }: AnyStage, met: () => boolean, limitMs: number): Promise<boolean> {
  while (!met()) {
    if (world.nowMs >= limitMs) return false;
    await world.run(world.nowMs + 10);
  }
  return true;
}

/** I29: somebody shows the latest of each key. What was acknowledged is judged by these, too: they are part of the history. */
export async function demandLatest(
  stage: AnyStage,
  caller: OrderingCaller,
  keys: readonly string[],
  describe: () => string,
): Promise<void> {
  let found = 0;
  for (const key of keys)
    caller.read(key, "latest", (isFound) => {
      if (isFound) found++;
    });
  if (!(await runUntil(stage, () => found === keys.length, stage.world.nowMs + 1500))) violation("I29", `no latest read: ${describe()}`);
}
