import { LoadTally } from "../tally.ts";
import { type WorkHistory, type WorkKind, type WorkOperation, workKinds } from "./work.ts";

/** How long one caller got no answer of one kind from one group, while it waited for some. */
export interface GroupGap {
  readonly client: string;
  readonly group: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * The longest for a kind of work, of what was asked while the time counted; undefined when nothing was. One group at a time, because others that answer
 * meanwhile are no help to those who need this one.
 */
export function longestGap({ operations }: WorkHistory, work: WorkKind): GroupGap | undefined {
  const counted = operations.filter((one) => one.invokedMs >= 0 && kindOf(one) === work);
  const gaps = [...Map.groupBy(counted, ({ client, group }) => `${client} ${group}`).values()].flatMap((ofOne) => gapOf(ofOne) ?? []);
  return gaps.toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))[0];
}

function gapOf(operations: readonly WorkOperation[]): GroupGap | undefined {
  const [first] = operations;
  if (first === undefined) return undefined;
  const events = operations.flatMap(({ invokedMs, respondedMs }) => [
    { atMs: invokedMs, sentMs: undefined },
    ...(respondedMs === undefined ? [] : [{ atMs: respondedMs, sentMs: invokedMs }]),
  ]);
  const tally = new LoadTally(first.client);
  const inOrder = events.toSorted((a, b) => a.atMs - b.atMs);
  for (const { atMs, sentMs } of inOrder)
    if (sentMs === undefined) tally.sent(atMs);
    else tally.answered(sentMs, atMs);
  const { fromMs, toMs } = tally.report(inOrder.at(-1)?.atMs ?? 0).longestGap;
  return { client: first.client, group: first.group, fromMs, toMs };
}

function kindOf({ kind }: WorkOperation): WorkKind {
  const [writes, session, latest] = workKinds;
  return kind === "read" ? latest : kind === "session-read" ? session : writes;
}
