import type { Scenario } from "../scenario.ts";
import { agentKilled } from "./agent-killed-servers-live.ts";
import { agentRestarted } from "./agent-restarted-under-load.ts";
import { asymmetricCut } from "./asymmetric-cut.ts";
import { bothNetworksCut } from "./both-networks-cut.ts";
import { brokenCaller } from "./broken-caller-accuses-everybody.ts";
import { clockJumps } from "./clock-jumps.ts";
import { lossyProbes } from "./lossy-probes.ts";
import { parentOffTheNetwork } from "./parent-off-the-network.ts";
import { parentsInterfaceDown } from "./parents-interface-down.ts";
import { relayCutFromTheTop } from "./relay-cut-from-the-top.ts";
import { relaysInACircle } from "./relays-in-a-circle.ts";
import { thunderingReattachment } from "./thundering-reattachment.ts";
import { cutHost } from "./cut-host.ts";
import { cutRoute } from "./cut-route.ts";
import { directoryPaused } from "./directory-paused-30s.ts";
import { endlessLoop } from "./endless-loop.ts";
import { flappingRoute } from "./flapping-route.ts";
import { hungServer } from "./hung-server.ts";
import { cutMetadataHost, killedMetadataServers, stoppedMetadataServer } from "./killed-metadata-servers.ts";
import { killedRelay } from "./killed-relay.ts";
import { killedServer } from "./killed-server.ts";
import { pulledCable } from "./pulled-cable.ts";
import { rebornHost } from "./reborn-host-new-address.ts";
import { restartedDirectory } from "./restarted-directory.ts";
import { stuckServer } from "./stuck-server-30s.ts";
import { switchCut } from "./switch-cut.ts";
import { twoHostsOneName } from "./two-hosts-one-name.ts";

export const scenarios: readonly Scenario[] = [
  killedServer,
  hungServer,
  cutRoute,
  pulledCable,
  cutHost,
  bothNetworksCut,
  killedRelay,
  restartedDirectory,
  flappingRoute,
  asymmetricCut,
  switchCut,
  directoryPaused,
  agentKilled,
  agentRestarted,
  endlessLoop,
  brokenCaller,
  twoHostsOneName,
  rebornHost,
  parentsInterfaceDown,
  parentOffTheNetwork,
  relayCutFromTheTop,
  relaysInACircle,
  lossyProbes,
  clockJumps,
  thunderingReattachment,
  stuckServer,
  killedMetadataServers,
  stoppedMetadataServer,
  cutMetadataHost,
];
