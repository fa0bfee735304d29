import { randomBelow } from "../../../src/kernel/index.ts";
import type { MovesHost } from "./host.ts";
import type { MovesKill, MovesStage } from "./stage.ts";

const steps: readonly MovesKill["step"][] = [
  "receives",
  "commit-begins",
  "commit-ended",
  "sent",
  "answers",
  "answered",
  "asks-the-roll",
  "gives",
  "fetched",
];

const faults: readonly ((stage: MovesStage) => boolean)[] = [
  crash,
  crash,
  killSynchronising,
  killSynchronising,
  killSynchronising,
  pause,
  pause,
  isolate,
  isolate,
  slowDisk,
  directoryAway,
  detach,
  detach,
  suspect,
  callerDies,
];

export function planFaults(stage: MovesStage, count: number, fromMs: number, toMs: number, happened: () => void): void {
  for (let left = count; left > 0; left--)
    stage.world.at(stage.between(fromMs, toMs), () => {
      if (stage.pick(faults)(stage)) happened();
    });
}

/** Somebody of some group; more often than not the one that matters there. */
function victim(stage: MovesStage): MovesHost {
  const group = stage.pick(stage.groups);
  const synchronising = stage.roll.row(group)?.synchronising;
  if (synchronising !== undefined && stage.random.fraction() < 0.6) return stage.host(synchronising);
  return stage.pick(stage.hostsOf(group));
}

function crash(stage: MovesStage): boolean {
  const host = victim(stage);
  stage.trace?.(`CRASH ${host.server}`);
  stage.crash(host);
  return true;
}

function killSynchronising(stage: MovesStage): boolean {
  stage.kill = { group: stage.pick(stage.groups), step: stage.pick(steps), left: randomBelow(stage.random, 6) };
  return true;
}

function pause(stage: MovesStage): boolean {
  const host = victim(stage);
  if (!host.node.alive || host.node.paused) return false;
  stage.pause(host, stage.between(10, 500));
  return true;
}

function suspect(stage: MovesStage): boolean {
  const host = victim(stage);
  if (!host.node.alive) return false;
  stage.suspect(host, 0, stage.between(5, 300));
  return true;
}

/** From all other servers, in one direction or in both; the roll and the callers still reach it. */
function isolate(stage: MovesStage): boolean {
  const host = victim(stage);
  const [inward, outward] = stage.pick([
    [true, true],
    [true, false],
    [false, true],
  ]);
  const forMs = stage.between(20, 600);
  stage.trace?.(`ISOLATE ${host.server} for ${forMs.toFixed(0)}`);
  for (const other of stage.hosts) {
    if (other === host) continue;
    if (inward === true) cutFor(stage, other.server, host.server, forMs);
    if (outward === true) cutFor(stage, host.server, other.server, forMs);
  }
  return true;
}

function cutFor(stage: MovesStage, from: string, to: string, forMs: number): void {
  stage.paths.cut(from, to);
  stage.world.after(forMs, () => stage.paths.heal(from, to));
}

function slowDisk(stage: MovesStage): boolean {
  const host = victim(stage);
  host.disk.slow(stage.between(2, 40), 10);
  stage.world.after(stage.between(50, 400), () => host.disk.slow(stage.options.commitMs, stage.options.commitMs));
  return true;
}

/** As long as it takes to start one again. */
function directoryAway(stage: MovesStage): boolean {
  stage.roll.away(stage.between(50, 500));
  return true;
}

function detach(stage: MovesStage): boolean {
  stage.roll.detach(victim(stage).server, stage.between(50, 500));
  return true;
}

function callerDies(stage: MovesStage): boolean {
  const living = stage.callers.filter(({ alive }) => alive);
  if (living.length < 2) return false;
  const caller = stage.pick(living);
  stage.trace?.(`DIES ${caller.lease}`);
  caller.die();
  stage.addCaller({ ...caller.options, name: `L${stage.callers.length + 1}` });
  return true;
}
