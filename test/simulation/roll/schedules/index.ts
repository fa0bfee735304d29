import { agentAway, agentRestarts, oldLinkEndsLate, oneHostName } from "./hosts.ts";
import { brokenLoad, burst, settleUnderMoves, slowBelowRelay } from "./streams.ts";
import { clockJumps, pausedDirectory, suspendedAgent } from "./clocks.ts";
import { lateAccusation, switchCut } from "./guard.ts";
import { lateDatagrams, oneObserver } from "./routes.ts";
import { adoptersStopped, lostStore, oldCopy } from "./stores.ts";
import { oldBeats, pausedAgents } from "./heartbeats.ts";
import { mixedProtocols, relaysInACircle } from "./tree.ts";
import { refusedTwice } from "./writes.ts";

/** `trace` prints what the nodes log. */
export type Schedule = (seed: number, trace?: (line: string) => void) => Promise<void>;

/** Rare faults need written schedules besides random ones. Each throws a `Violation` when a promise breaks. */
export const schedules: Readonly<Record<string, Schedule>> = {
  "lost store": lostStore,
  "adopters stopped": adoptersStopped,
  "old copy": oldCopy,
  "refused twice": refusedTwice,
  "broken load": brokenLoad,
  "burst against a paused child": burst,
  "settle under moves": settleUnderMoves,
  "slow below a relay": slowBelowRelay,
  "relays in a circle": relaysInACircle,
  "mixed protocols": mixedProtocols,
  "directory paused": pausedDirectory,
  "agent suspended": suspendedAgent,
  "clocks jump": clockJumps,
  "an old link ends late": oldLinkEndsLate,
  "two agents, one host name": oneHostName,
  "agent restarts within its grace": agentRestarts,
  "agent away for longer than its grace": agentAway,
  "a switch is cut": switchCut,
  "a late accusation": lateAccusation,
  "agents paused": pausedAgents,
  "beats for what was lost": oldBeats,
  "one observer": oneObserver,
  "datagrams that come late": lateDatagrams,
};
