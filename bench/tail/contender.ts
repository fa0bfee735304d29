/** What every server does with a request: usually little, now and then much. One that begins counts as executed. */
export type Work = () => Promise<void>;

/** Resolves with an answer or rejects. */
export type Ask = () => Promise<unknown>;

export const servers = 3;
export const slowShare = 0.05;
export const slowMs = 50;
export const quickMs = 1;
/** A call without an answer for so long has failed; its caller asks again. */
export const deadlineMs = 2000;
/** Copies of the ideal go out so long after its first one: the 95th percentile lies on the edge of the slow answers. */
export const copiesAfterMs: readonly number[] = [3, 6];

/** A way to ask one of three servers. Servers and caller have a process each and are given the same place. */
export interface Contender {
  readonly name: string;
  /** False for ours. */
  readonly peer: boolean;
  readonly needs: "fleet" | "broker" | "ports";
  serve(place: Place, index: number, work: Work): Promise<void>;
  /** Resolves when all servers can be called. */
  call(place: Place): Promise<Ask>;
}

/** Crosses to the children as JSON. */
export interface Place {
  /** One for each server and one for the caller; of a broker the first. */
  readonly ports: readonly number[];
  /** The door of our library, and the sockets of the agents of the servers' hosts and the caller's. */
  readonly library: string;
  readonly agents: readonly string[];
}

export function portOf({ ports }: Place, index: number): number {
  return itemOf(ports, index);
}

export function agentOf({ agents }: Place, index: number): string {
  return itemOf(agents, index);
}

function itemOf<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`the place has nothing numbered ${index}`);
  return item;
}
