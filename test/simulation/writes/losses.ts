import { type GroupRow, anyReplica } from "../../../src/tables/index.ts";
import type { Host } from "./host.ts";
import type { Stage } from "./stage.ts";

/** Far beyond what anybody has promised: what an older roll is raised by when it is put back. */
const epochStep = 1_000_000;

/**
 * All members are gone, and an operator gives up what only they held (`promote --accept-loss`): one server goes on with what it has.
 * What it has may be old, but nothing of that is lost.
 */
export function acceptLoss(stage: Stage): boolean {
  const { row } = stage.roll;
  const able = stage.hosts.filter((host) => host.isWell && host.member !== undefined && host.replica !== "");
  if (row === undefined || able.length === 0 || stage.isFragile()) return false;
  const chosen = stage.pick(able);
  stage.trace?.(`LOSS accepted, ${chosen.server} goes on`);
  stage.newHistory(() => {
    for (const host of stage.hosts) if (host !== chosen) fell(stage, host, stage.random.fraction() < 0.4);
    const epoch = row.epoch + 1;
    const held = stage.keeping.heldBy(chosen);
    stage.keeping.acceptLoss({ epoch, each: held, kept: held, isAccepted: true });
    const members = [{ server: chosen.server, replica: anyReplica }];
    stage.roll.force({ ...row, epoch, members, synchronising: chosen.server }, "promoted, the loss is accepted");
  });
  stage.count("promoted");
  return true;
}

/** An older roll is put back: its row goes on far beyond, with the members that it names, whoever of them is left. */
export function putBack(stage: Stage): boolean {
  const older = stage.roll.rows.slice(-6, -1).map(({ row }) => row);
  const possible = older.filter(({ members }) => members.some((member) => isThere(stage, member)));
  if (possible.length === 0 || stage.isFragile()) return false;
  const row = stage.pick(possible);
  stage.trace?.(`PUT BACK the roll with epoch ${row.epoch}`);
  stage.newHistory(() => raise(stage, row));
  stage.count("put-back");
  return true;
}

/** Whoever of its members is left may be the only one: so much is kept for sure. `keeps`: when all of them are there. */
export function raise(stage: Stage, row: GroupRow, keeps = Math.min): void {
  for (const host of stage.hosts) fell(stage, host, false);
  const kept = row.members.filter((member) => isThere(stage, member)).map((member) => stage.keeping.heldBy(member));
  const epoch = (Math.floor((stage.roll.row?.epoch ?? 0) / epochStep) + 1) * epochStep;
  stage.keeping.acceptLoss({ epoch, each: Math.min(...kept), kept: keeps(...kept), isAccepted: false });
  stage.roll.force({ ...row, epoch }, "put back with an older roll");
}

function isThere(stage: Stage, { server, replica }: GroupRow["members"][number]): boolean {
  return replica !== anyReplica && stage.host(server).replica === replica;
}

/** It begins again when everybody knows the row. */
function fell(stage: Stage, host: Host, loses: boolean): void {
  host.full = false;
  host.node.resume();
  host.knowsTheRow = true;
  if (host.node.alive) {
    host.crash();
    stage.crashes++;
    if (loses) host.loseDisk();
  }
  stage.roll.validate(host.server);
  const life = host.node.lives;
  stage.world.after(stage.between(1, 80), () => {
    if (host.node.lives === life && !host.node.alive) host.restart();
  });
}
