import type { Fleet, ServedEntry, ServedMember } from "../../../src/index.ts";
import { MusterError } from "../../../src/kernel/index.ts";
import { registers } from "../histories/registers.ts";
import { serverAttributes } from "../scenario.ts";

/** What a refused registration says while somebody else's is still believed to live. */
const heldCode = "roll/key-claimed";
const pauseMs = 200;
const attemptsMax = 100;

/** How a server works: `work` is its service time. */
export interface ServerTask {
  readonly server: string;
  readonly port: number;
  readonly pause: (ms: number) => Promise<void>;
  readonly serviceTimeMs: number;
  readonly maxPeriodMs: number;
}

/** Several servers in one process, each with a copy of its instance's state below `folder`. */
export interface MembersTask extends Omit<ServerTask, "server"> {
  readonly members: readonly string[];
  readonly folder: string;
}

/**
 * Serves, and answers each request with its own name. Registers again and again while its former life still holds the key: whoever
 * restarts a server does the same. Rejects after 20 s, and with any other refusal.
 */
export function serveWhenFree(fleet: Fleet, { server, port, pause, serviceTimeMs, maxPeriodMs }: ServerTask): Promise<ServedEntry> {
  const { table, type } = serverAttributes;
  const handle = async () => {
    await pause(serviceTimeMs);
    return server;
  };
  return whenFree(pause, () => fleet.serve(table, server, { port, maxPeriodMs, types: { [type]: { effect: "read", handle } } }));
}

/** The same for servers of ordering groups. Resolves when all of them take part. */
export function serveMembersWhenFree(fleet: Fleet, task: MembersTask): Promise<readonly ServedMember[]> {
  const { members, folder, port, pause, serviceTimeMs, maxPeriodMs } = task;
  const types = registers(() => pause(serviceTimeMs));
  const serve = (server: string) =>
    whenFree(pause, () =>
      fleet.serve(serverAttributes.table, server, { port, maxPeriodMs, group: { data: `${folder}/${server}` }, types }),
    );
  return Promise.all(members.map(serve));
}

async function whenFree<Served>(pause: (ms: number) => Promise<void>, serve: () => Promise<Served>): Promise<Served> {
  for (let attempt = 1; ; attempt++)
    try {
      return await serve();
    } catch (thrown) {
      if (attempt === attemptsMax || !(thrown instanceof MusterError && thrown.code === heldCode)) throw thrown;
      await pause(pauseMs);
    }
}
