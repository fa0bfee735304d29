import { randomBelow } from "../../../src/kernel/index.ts";
import { type Fault, callerDies, cutFor, detach, directoryAway, isolate, pause, slowDisk, suspect } from "../ordering/faults.ts";
import type { Kill } from "../ordering/stage.ts";
import { type Stage, type Step, steps } from "./stage.ts";

const pauses = pause(600);
const isolates = isolate(2, 900);
const detaches = detach(600);

/** What can go wrong, and how often each. */
export const faults: readonly Fault<Stage>[] = [
  crash,
  crash,
  killSynchronising,
  killSynchronising,
  pauses,
  pauses,
  isolates,
  isolates,
  cutOneWay,
  fullDisk,
  slowDisk(500),
  loseDisk,
  directoryAway(600),
  detaches,
  detaches,
  suspect,
  suspect,
  callerDies,
  callerDies,
  cutCaller,
  handOver,
  leave,
];

function crash(stage: Stage): boolean {
  const host = stage.victim();
  if (!host.node.alive || stage.isFragile()) return false;
  stage.trace?.(`CRASH ${host.server}`);
  stage.crash(host);
  return true;
}

function killSynchronising(stage: Stage): boolean {
  if (stage.isFragile()) return false;
  const pauseMs = stage.random.fraction() < 0.4 ? stage.between(10, 600) : undefined;
  const kill: Kill<Step> = { step: stage.pick(steps), left: randomBelow(stage.random, 6), pauseMs };
  stage.trace?.(`KILL armed: ${kill.step} after ${kill.left} ${String(pauseMs)}`);
  stage.kill = kill;
  return true;
}

function cutOneWay(stage: Stage): boolean {
  const [from, to] = [stage.pick(stage.hosts), stage.pick(stage.hosts)];
  if (from === to) return false;
  cutFor(stage, from.server, to.server, stage.between(20, 900));
  return true;
}

function fullDisk(stage: Stage): boolean {
  const host = stage.victim();
  if (stage.isFragile()) return false;
  const forMs = stage.between(20, 500);
  stage.trace?.(`FULL ${host.server} for ${forMs.toFixed(0)}`);
  host.full = true;
  stage.world.after(forMs, () => {
    host.full = false;
  });
  return true;
}

/** Only while another member is well: what the last one has is lost with its disk, which no protocol survives. */
function loseDisk(stage: Stage): boolean {
  const host = stage.victim();
  const { row } = stage.roll;
  if (row === undefined || !host.node.alive || stage.isFragile()) return false;
  const others = row.members.filter(({ server }) => server !== host.server).map(({ server }) => stage.host(server));
  if (others.length === 0 || !others.every(({ isWell }) => isWell)) return false;
  stage.trace?.(`LOSE ${host.server}`);
  stage.loseDisk(host, stage.between(5, 300));
  return true;
}

/** Somebody else is to synchronise, although nobody is gone. */
function handOver(stage: Stage): boolean {
  const { row } = stage.roll;
  const others = row?.members.filter(({ server }) => server !== row.synchronising && stage.roll.isValid(server)) ?? [];
  if (row === undefined || others.length === 0 || stage.isFragile()) return false;
  stage.roll.force({ ...row, epoch: row.epoch + 1, synchronising: stage.pick(others).server }, "handed over");
  return true;
}

/** A program ends in good order: it is given up first, and closes then. */
function leave(stage: Stage): boolean {
  const host = stage.victim();
  const { member } = host;
  if (member === undefined || host.node.paused || stage.isFragile()) return false;
  stage.roll.invalidate([host.server]);
  const life = host.node.lives;
  member.close().then(
    () => {
      if (host.node.lives === life) stage.crash(host);
    },
    (thrown: unknown) => stage.world.fail(thrown),
  );
  return true;
}

function cutCaller(stage: Stage): boolean {
  const [caller, host] = [stage.pick(stage.callers), stage.victim()];
  const forMs = stage.between(20, 500);
  if (stage.random.fraction() < 0.7) cutFor(stage, caller.node.name, host.server, forMs);
  if (stage.random.fraction() < 0.7) cutFor(stage, host.server, caller.node.name, forMs);
  return true;
}
