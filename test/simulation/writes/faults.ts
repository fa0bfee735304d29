import { randomBelow } from "../../../src/kernel/index.ts";
import type { Host } from "./host.ts";
import type { Kill, Stage } from "./stage.ts";

const killSteps: readonly Kill["step"][] = [
  "receives",
  "executes",
  "commit-begins",
  "commit-ended",
  "sent",
  "answers",
  "answered",
  "asks-the-roll",
];

/** What can go wrong, each for a while. Returns false where it makes no sense now. */
const faults: readonly ((stage: Stage) => boolean)[] = [
  crash,
  crash,
  killSynchronising,
  killSynchronising,
  pause,
  pause,
  isolate,
  isolate,
  cutOneWay,
  fullDisk,
  slowDisk,
  loseDisk,
  directoryAway,
  detach,
  detach,
  suspect,
  suspect,
  callerDies,
  callerDies,
  cutCaller,
  handOver,
  leave,
];

export function planFaults(stage: Stage, count: number, fromMs: number, toMs: number, happened: () => void): void {
  for (let left = count; left > 0; left--)
    stage.world.at(stage.between(fromMs, toMs), () => {
      if (stage.pick(faults)(stage)) happened();
    });
}

/** Somebody; more often than not the one that matters. */
function victim(stage: Stage): Host {
  const synchronising = stage.roll.row?.synchronising;
  if (synchronising !== undefined && stage.random.fraction() < 0.6) return stage.host(synchronising);
  return stage.pick(stage.hosts);
}

function crash(stage: Stage): boolean {
  const host = victim(stage);
  if (!host.node.alive || stage.isFragile()) return false;
  stage.trace?.(`CRASH ${host.server}`);
  stage.crash(host);
  return true;
}

function killSynchronising(stage: Stage): boolean {
  if (stage.isFragile()) return false;
  const pauseMs = stage.random.fraction() < 0.4 ? stage.between(10, 600) : undefined;
  const kill: Kill = { step: stage.pick(killSteps), left: randomBelow(stage.random, 6), pauseMs };
  stage.trace?.(`KILL armed: ${kill.step} after ${kill.left} ${String(pauseMs)}`);
  stage.kill = kill;
  return true;
}

function pause(stage: Stage): boolean {
  const host = victim(stage);
  if (!host.node.alive || host.node.paused || stage.isFragile()) return false;
  stage.pause(host, stage.between(10, 600));
  return true;
}

function suspect(stage: Stage): boolean {
  const host = victim(stage);
  if (!host.node.alive || stage.isFragile()) return false;
  stage.suspect(host, 0, stage.between(5, 300));
  return true;
}

/** From the other servers, in one direction or in both; the roll and the callers still reach it. */
function isolate(stage: Stage): boolean {
  const host = victim(stage);
  const [inward, outward] = stage.pick([
    [true, true],
    [true, true],
    [true, false],
    [false, true],
  ]);
  const forMs = stage.between(20, 900);
  stage.trace?.(`ISOLATE ${host.server} ${String(inward)} ${String(outward)} for ${forMs.toFixed(0)}`);
  for (const other of stage.hosts) {
    if (other === host) continue;
    if (inward === true) cutFor(stage, other.server, host.server, forMs);
    if (outward === true) cutFor(stage, host.server, other.server, forMs);
  }
  return true;
}

function cutOneWay(stage: Stage): boolean {
  const [from, to] = [stage.pick(stage.hosts), stage.pick(stage.hosts)];
  if (from === to) return false;
  cutFor(stage, from.server, to.server, stage.between(20, 900));
  return true;
}

function cutFor(stage: Stage, from: string, to: string, forMs: number): void {
  stage.paths.cut(from, to);
  stage.world.after(forMs, () => stage.paths.heal(from, to));
}

function fullDisk(stage: Stage): boolean {
  const host = victim(stage);
  if (stage.isFragile()) return false;
  const forMs = stage.between(20, 500);
  stage.trace?.(`FULL ${host.server} for ${forMs.toFixed(0)}`);
  host.full = true;
  stage.world.after(forMs, () => {
    host.full = false;
  });
  return true;
}

function slowDisk(stage: Stage): boolean {
  const host = victim(stage);
  host.disk.slow(stage.between(2, 40), 10);
  stage.world.after(stage.between(50, 500), () => host.disk.slow(stage.options.commitMs, stage.options.commitMs));
  return true;
}

/** Only while another member is well: what the last one has is lost with its disk, which no protocol survives. */
function loseDisk(stage: Stage): boolean {
  const host = victim(stage);
  const { row } = stage.roll;
  if (row === undefined || !host.node.alive || stage.isFragile()) return false;
  const others = row.members.filter(({ server }) => server !== host.server).map(({ server }) => stage.host(server));
  if (others.length === 0 || !others.every(({ isWell }) => isWell)) return false;
  stage.trace?.(`LOSE ${host.server}`);
  stage.crash(host, stage.between(5, 300), true);
  return true;
}

function directoryAway(stage: Stage): boolean {
  stage.roll.away(stage.between(50, 600));
  return true;
}

function detach(stage: Stage): boolean {
  const host = victim(stage);
  const forMs = stage.between(50, 600);
  stage.trace?.(`DETACH ${host.server} for ${forMs.toFixed(0)}`);
  stage.roll.detach(host.server, forMs);
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
  const host = victim(stage);
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

function callerDies(stage: Stage): boolean {
  const living = stage.callers.filter(({ alive }) => alive);
  if (living.length < 2) return false;
  const caller = stage.pick(living);
  stage.trace?.(`DIES ${caller.lease}`);
  caller.die();
  stage.addCaller({ ...caller.options, name: `L${stage.callers.length + 1}` });
  return true;
}

function cutCaller(stage: Stage): boolean {
  const [caller, host] = [stage.pick(stage.callers), victim(stage)];
  const forMs = stage.between(20, 500);
  if (stage.random.fraction() < 0.7) cutFor(stage, caller.node.name, host.server, forMs);
  if (stage.random.fraction() < 0.7) cutFor(stage, host.server, caller.node.name, forMs);
  return true;
}
