import { randomBelow } from "../../../src/kernel/index.ts";
import { type Fault, callerDies, detach, directoryAway, isolate, pause, slowDisk, suspect } from "../ordering/faults.ts";
import { type MovesStage, steps } from "./stage.ts";

const pauses = pause(500);
const isolates = isolate(1, 600);
const detaches = detach(500);

/** What can go wrong, and how often each. */
export const faults: readonly Fault<MovesStage>[] = [
  crash,
  crash,
  killSynchronising,
  killSynchronising,
  killSynchronising,
  pauses,
  pauses,
  isolates,
  isolates,
  slowDisk(400),
  directoryAway(500),
  detaches,
  detaches,
  suspect,
  callerDies,
];

/** Of what is gone already, too: then nothing happens. */
function crash(stage: MovesStage): boolean {
  const host = stage.victim();
  stage.trace?.(`CRASH ${host.server}`);
  stage.crash(host);
  return true;
}

function killSynchronising(stage: MovesStage): boolean {
  stage.kill = { group: stage.pick(stage.groups), step: stage.pick(steps), left: randomBelow(stage.random, 6) };
  return true;
}
