import type { CallerOptions, OrderingCaller } from "./caller.ts";
import type { OrderingStage, StageHost } from "./stage.ts";

/** Any stage, as far as the faults of this file go. */
type AnyStage = OrderingStage<StageHost, CallerOptions, OrderingCaller, string>;

/** Something that can go wrong, for a while. Returns false where it makes no sense now. */
export type Fault<Stage> = (stage: Stage) => boolean;

/** Whether messages of other servers to the victim are cut off, and those to them. */
type Cut = readonly [inward: boolean, outward: boolean];

export function planFaults<Stage extends AnyStage>(
  stage: Stage,
  faults: readonly Fault<Stage>[],
  count: number,
  [fromMs, toMs]: readonly [number, number],
  happened: () => void,
): void {
  for (let left = count; left > 0; left--)
    stage.world.at(stage.between(fromMs, toMs), () => {
      if (stage.pick(faults)(stage)) happened();
    });
}

export function pause(msMax: number): Fault<AnyStage> {
  return (stage) => {
    const host = stage.victim();
    if (!host.node.alive || host.node.paused || stage.isFragile()) return false;
    stage.pause(host, stage.between(10, msMax));
    return true;
  };
}

export function suspect(stage: AnyStage): boolean {
  const host = stage.victim();
  if (!host.node.alive || stage.isFragile()) return false;
  stage.suspect(host, 0, stage.between(5, 300));
  return true;
}

/** From all other servers, in one direction or, so many times as often as in each, in both; the roll and the callers still reach it. */
export function isolate(bothWays: number, msMax: number): Fault<AnyStage> {
  const cuts: readonly Cut[] = [...Array.from({ length: bothWays }, (): Cut => [true, true]), [true, false], [false, true]];
  return (stage) => {
    const host = stage.victim();
    const [inward, outward] = stage.pick(cuts);
    const forMs = stage.between(20, msMax);
    stage.trace?.(`ISOLATE ${host.server} ${String(inward)} ${String(outward)} for ${forMs.toFixed(0)}`);
    for (const other of stage.hosts) {
      if (other === host) continue;
      if (inward) cutFor(stage, other.server, host.server, forMs);
      if (outward) cutFor(stage, host.server, other.server, forMs);
    }
    return true;
  };
}

export function cutFor(stage: AnyStage, from: string, to: string, forMs: number): void {
  stage.paths.cut(from, to);
  stage.world.after(forMs, () => stage.paths.heal(from, to));
}

export function slowDisk(msMax: number): Fault<AnyStage> {
  return (stage) => {
    const host = stage.victim();
    host.disk.slow(stage.between(2, 40), 10);
    stage.world.after(stage.between(50, msMax), () => host.disk.slow(stage.options.commitMs, stage.options.commitMs));
    return true;
  };
}

/** As long as it takes to start one again. */
export function directoryAway(msMax: number): Fault<AnyStage> {
  return (stage) => {
    stage.roll.away(stage.between(50, msMax));
    return true;
  };
}

export function detach(msMax: number): Fault<AnyStage> {
  return (stage) => {
    const host = stage.victim();
    const forMs = stage.between(50, msMax);
    stage.trace?.(`DETACH ${host.server} for ${forMs.toFixed(0)}`);
    stage.roll.detach(host.server, forMs);
    return true;
  };
}

/** Another one comes in its place. */
export function callerDies(stage: AnyStage): boolean {
  const living = stage.callers.filter(({ alive }) => alive);
  if (living.length < 2) return false;
  const caller = stage.pick(living);
  stage.trace?.(`DIES ${caller.lease}`);
  caller.die();
  stage.addCaller({ ...caller.options, name: `L${stage.callers.length + 1}` });
  return true;
}
