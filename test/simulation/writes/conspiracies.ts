import type { Fate } from "../ordering/roll-order.ts";
import type { Host } from "./host.ts";
import type { Plot, Stage } from "./stage.ts";

/** What luck hits too rarely: a change of the row of unknown fate, a server on its way in, and the end of who synchronises, within a few steps. */
export function planConspiracy(stage: Stage, fromMs: number, toMs: number, happened: () => void): void {
  stage.world.at(stage.between(fromMs, toMs), () => {
    const joiner = comeBack(stage);
    if (joiner === undefined) return;
    happened();
    const plot: Plot = {
      when: stage.random.fraction() < 0.75 ? "names" : "part",
      fate: fateOf(stage),
      strike: (...who) => strike(stage, ...who),
    };
    stage.plot = plot;
    stage.trace?.(`PLOT armed for ${joiner.server}: ${plot.when} ${JSON.stringify(plot.fate)}`);
    stage.world.after(400, () => {
      if (stage.plot === plot) stage.plot = undefined;
    });
  });
}

/** Somebody leaves and comes back, with its log, with a longer one, or with nothing. */
function comeBack(stage: Stage): Host | undefined {
  const { row } = stage.roll;
  if (row === undefined || stage.isFragile()) return undefined;
  const others = stage.hosts.filter(({ server, node }) => server !== row.synchronising && node.alive && !node.paused);
  if (others.length === 0) return undefined;
  const joiner = stage.pick(others);
  const luck = stage.random.fraction();
  if (luck < 0.35 && row.members.every(({ server }) => server === joiner.server || stage.host(server).isWell)) {
    stage.trace?.(`LOSE ${joiner.server}`);
    stage.loseDisk(joiner, stage.between(2, 40));
  } else if (luck < 0.7) stage.crash(joiner, stage.between(2, 60));
  else stage.suspect(joiner, 0, stage.between(5, 60));
  stage.roll.invalidate([joiner.server]);
  return joiner;
}

function fateOf(stage: Stage): Fate | undefined {
  const luck = stage.random.fraction();
  if (luck < 0.2) return undefined;
  if (luck < 0.4) return { lateMs: undefined, isAnswered: false };
  if (luck < 0.55) return { lateMs: 0, isAnswered: false };
  return { lateMs: stage.between(5, 550), isAnswered: luck < 0.7 };
}

type Blow = (stage: Stage, synchronising: Host, other: Host) => void;

const first: readonly Blow[] = [
  (stage, synchronising) => fall(stage, synchronising),
  (stage, _, other) => fall(stage, other),
  (stage, _, other) => fall(stage, other),
  (stage, synchronising) => stage.pause(synchronising, stage.between(10, 500)),
  (stage, _, other) => stage.pause(other, stage.between(100, 450)),
  (stage, synchronising, other) => stage.part(synchronising.server, other.server, stage.between(30, 450)),
  (stage, synchronising, other) => stage.part(synchronising.server, other.server, stage.between(200, 450)),
  slowDisk,
  () => {},
  () => {},
];

const second: readonly Blow[] = [
  (stage, synchronising) => fall(stage, synchronising),
  (stage, synchronising) => stage.suspect(synchronising, 0, stage.between(20, 300)),
  (stage, synchronising) => stage.roll.detach(synchronising.server, stage.between(50, 500)),
  (stage, _, other) => fall(stage, other),
  () => {},
];

/** At once or some steps later; and once more, when the row may have come or may not. */
function strike(stage: Stage, synchronising: Host, server: string): void {
  const other = stage.host(server);
  const after = (delayMs: number, blow: Blow) =>
    stage.world.after(delayMs, () => {
      if (!stage.isFragile()) blow(stage, synchronising, other);
    });
  after(stage.random.fraction() < 0.4 ? 0 : stage.between(0, 12), stage.pick(first));
  after(stage.between(1, stage.random.fraction() < 0.5 ? 30 : 500), stage.pick(second));
}

/** At the next boundary of its work or just now, and often back at once, before anybody has missed it. */
function fall(stage: Stage, host: Host): void {
  if (!host.node.alive) return;
  stage.trace?.(`FALL ${host.server}`);
  stage.crash(host, stage.random.fraction() < 0.5 ? stage.between(0.5, 15) : stage.between(15, 300));
}

/** What it takes in is durable late, or never, for it is gone before. */
function slowDisk(stage: Stage, synchronising: Host, other: Host): void {
  const host = stage.random.fraction() < 0.5 ? synchronising : other;
  host.disk.slow(stage.between(5, 60), 5);
  stage.world.after(stage.between(3, 80), () => {
    host.disk.slow(stage.options.commitMs, stage.options.commitMs);
    if (stage.random.fraction() < 0.5 && !stage.isFragile()) fall(stage, host);
  });
}
