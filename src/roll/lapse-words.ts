import type { EntryState, StateName } from "../tables/index.ts";
import type { Lapse, LapseCause } from "./watch.ts";

/** What is known of the program behind an entry, for people. */
export interface ProgramNews {
  readonly name: string;
  readonly pid: number | undefined;
  /** What the system says of the process, e.g. "was killed by SIGKILL". */
  readonly seen: string | undefined;
}

const states: Readonly<Record<LapseCause, StateName>> = {
  heartbeat: "hung",
  stalled: "hung",
  "program-gone": "dead",
  "program-lost": "hung",
  "program-left": "stopped",
  refused: "dead",
};

/** The row of `states` beside an entry that has lapsed. */
export function stateOfLapse(
  lapse: Lapse,
  program: ProgramNews,
  where: string,
  said: { readonly by: string; readonly sinceUnixMs: number },
): EntryState {
  return { state: states[lapse.cause], reason: reasonOf(lapse, program, where).slice(0, 500), ...said };
}

/** Entries that a node holds itself, for HTTP callers say, have a program without a name. */
export function nameOf(name: string, pid: number | undefined): string {
  const program = name === "" ? "its program" : `its program ${name}`;
  return pid === undefined ? program : `${program} (process ${pid})`;
}

function reasonOf({ cause, afterMs }: Lapse, { name, pid, seen }: ProgramNews, where: string): string {
  const program = nameOf(name, pid);
  const also = seen === undefined ? "" : `; the process ${seen}`;
  switch (cause) {
    case "heartbeat":
      return `${program} sent no heartbeat for ${afterMs} ms, its max period${also}`;
    case "stalled":
      return `its event loop stood still for ${afterMs} ms: ${program} runs but does not get on`;
    case "program-gone":
      return `${program} ${seen ?? "has ended"}`;
    case "program-lost":
      return `${program} lost its link and did not come back within ${afterMs} ms${also}`;
    case "program-left":
      return `${program} left in good order`;
    case "refused":
      return `nothing listens on its port (${where} refused the connection), although ${program} runs`;
  }
}
