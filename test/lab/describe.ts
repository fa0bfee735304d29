import { type Action, everyHost, membersProcess } from "./scenario.ts";

/** How an action reads in a timeline. */
export function describe(action: Action): string {
  switch (action.do) {
    case "cut":
    case "mend": {
      const { host, network, direction = "both", peer } = action.cut;
      const ways = { both: "", out: " outwards", in: " inwards" }[direction];
      const to = peer === undefined ? "" : ` with ${peer}`;
      return `${action.do} ${host}${network === undefined ? "" : ` on network ${network}`}${to}${ways}`;
    }
    case "unplug":
    case "plug":
      return `${action.do} ${host(action)}`;
    case "split":
      return `switch ${action.network} breaks: ${action.group.join(", ")} apart`;
    case "join":
      return `switch ${action.network} is whole again`;
    case "lossy":
      return `${host(action)} loses ${action.percent} % of its ${action.of ?? "packets"}`;
    case "slow":
      return `${host(action)} is ${action.delayMs} ms away`;
    case "refuse":
      return `${action.host} refuses its own callers every server`;
    case "accept":
      return `${action.host} lets its callers through again`;
    case "jump":
      return `the wall clock of ${action.host} jumps by ${action.byMs / 1000} s`;
    case "readdress":
      return `${host(action)} gets the address 10.77.${action.network}.${action.last}`;
    case "strike":
      return `${action.how} ${"leaderOf" in action.aim ? `who synchronises ${action.aim.leaderOf}` : membersProcess(action.aim.membersOn)}`;
    case "loop":
      return `${action.process} goes into an endless loop`;
    default:
      return `${action.do} ${action.process}`;
  }
}

function host(action: { readonly host: string; readonly network: number }): string {
  return `${action.host === everyHost ? "everybody" : action.host} on network ${action.network}`;
}
