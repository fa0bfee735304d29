import type { History } from "./history.ts";
import type { Slot } from "./slot.ts";
import type { Stage } from "./stage.ts";
import { violation } from "./violation.ts";

/** Within so much virtual time after the last fault everybody is attached and equal: I29. */
export const convergeMsMax = 12_000;

function trouble(slot: Slot, history: History): string | undefined {
  const { node, name } = slot;
  if (!slot.alive) return undefined;
  const isUp = node.isReady && !node.detached && node.position.sequence === history.last;
  const { openChanges, unwatched } = isUp ? node.status() : {};
  if (openChanges === 0 && unwatched === 0) return undefined;
  return `${name} ready=${node.isReady} detached=${node.detached} at ${node.position.sequence} open=${String(openChanges)} unwatched=${String(unwatched)} ${node.lastError?.code ?? ""}`;
}

/** Lets time pass until everybody who lives is attached and equal; `judge` then says whether that came about. */
export async function converge({ slots, history, world }: Stage, msMax = convergeMsMax): Promise<void> {
  const untilMs = world.nowMs + msMax;
  while (world.nowMs < untilMs && slots.some((slot) => trouble(slot, history) !== undefined)) await world.runFor(20);
}

/** I29: after the last fault everybody is attached and equal, and nothing is left open. */
export function checkConverged({ slots, history }: Stage): void {
  const behind = slots.map((slot) => trouble(slot, history)).filter((text) => text !== undefined);
  if (behind.length > 0)
    violation("I29", `after the last fault, committed ${history.last}: ${behind.slice(0, 4).join("; ")} (${behind.length} in all)`);
}

/** I12 at the end: a valid bound entry belongs to a program that lives. */
export function checkOwners({ clients, history }: Stage): void {
  const living = new Set(clients.filter(({ alive }) => alive).map(({ node }) => Number(node.status()["session"])));
  for (const name of history.keys()) {
    const row = history.at(name, history.last);
    if (row === undefined || !row.valid || row.incarnation === 0) continue;
    const session = Number(row.owner.slice(row.owner.lastIndexOf("/") + 1));
    if (!living.has(session))
      violation("I12", `${name.slice(name.indexOf("\u0000") + 1)} is valid at the end, owned by ${row.owner}, whose program is gone`);
  }
}
