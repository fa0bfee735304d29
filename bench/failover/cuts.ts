import path from "node:path";
import { type Cast, type Scenario, lackOfNamespaces, musterCast, runInNamespaces, debianPackages } from "../../test/lab/index.ts";
import type { BenchContext } from "../bench.ts";
import { compiledCode } from "../cli-fleet.ts";
import { type Contender, type Hosts, deadlineMs, serverCount, serviceTimeMs } from "./contender.ts";
import { contenderNamed } from "./contenders.ts";
import { service } from "./muster.ts";
import { type Seen, seenOf } from "./outcome.ts";

/** Faults of the network: nothing passes any more, and nobody is told. */
export type Cut =
  /** The host of one server, on both networks. */
  | "host-cut"
  /** The first of the two networks of the host of one server. */
  | "route-cut";

export const cuts: readonly Cut[] = ["host-cut", "route-cut"];

export const cutNames: Readonly<Record<Cut, string>> = {
  "host-cut": "cut host",
  "route-cut": "cut route, one of two",
};

export interface CutLoad {
  readonly perSecond: number;
  readonly beforeMs: number;
  readonly observedMs: number;
}

const networks = [1, 2] as const;
const directoryHost = "HOST1";
const serverHosts = Array.from({ length: serverCount }, (_, index) => `HOST${index + 2}`);
const callerHost = `HOST${serverCount + 2}`;
const victim = "HOST2";

/** A program that is only there for the fault laboratory to talk to, where this peer needs nobody. */
const idle = 'process.on("message", () => {}); process.on("disconnect", () => process.exit(0)); process.send({ news: "ready" });';

/** One line for people when network namespaces cannot be made here. */
export async function lackOfHosts(context: BenchContext): Promise<string | undefined> {
  if (!(await context.debian(debianPackages))) return "packages are missing";
  const lack = lackOfNamespaces();
  return lack === undefined ? undefined : `${lack.what}; next: ${lack.next}`;
}

/** A host for the directory, each server and the caller, on two networks. */
function scenarioOf(cut: Cut, { perSecond, beforeMs, observedMs }: CutLoad): Scenario {
  return {
    name: cut,
    about: "One server's host, or its first network, is cut and stays so.",
    fleet: {
      networks: networks.length,
      hosts: [
        { name: directoryHost, node: "directory" },
        ...serverHosts.map((name, index) => ({ name, node: "agent" as const, servers: [`${service}.${index + 1}.1`] })),
        { name: callerHost, node: "agent", caller: true },
      ],
    },
    load: { service, requestsPerSecond: perSecond, serviceTimeMs, deadlineMs },
    roundMs: beforeMs + observedMs,
    steps: () => [{ atMs: beforeMs, action: { do: "cut", cut: { host: victim, ...(cut === "route-cut" ? { network: 1 } : {}) } } }],
    expect: [],
  };
}

/** Everything on hosts of its own, started anew; undefined when the contender sits that out. */
export async function underCut(context: BenchContext, word: string, cut: Cut, load: CutLoad): Promise<Seen | undefined> {
  const contender = contenderNamed(word);
  if (contender.peer && contender.settle === undefined) return undefined;
  const scenario = scenarioOf(cut, load);
  const ended = new AbortController();
  const durationMs = load.beforeMs + load.observedMs;
  const cast = contender.peer ? peerCast(contender, word) : musterCast;
  const run = runInNamespaces(scenario, { durationMs, cast, signal: ended.signal });
  context.cleanup(async () => {
    ended.abort();
    await run.catch(() => {});
  });
  const { loads } = await run;
  const report = loads[0];
  if (report === undefined) throw new Error("the caller gave no report");
  return seenOf(context, `${cutNames[cut]}, ${contender.name}`, report, (durationMs * load.perSecond) / 1000);
}

/** The programs of a peer in the places of ours: its own daemon where it has one, nothing where it needs none. */
function peerCast(contender: Contender, word: string): Cast {
  let settled: ReturnType<NonNullable<Contender["settle"]>> | undefined;
  return (name, { host, folder, address }) => {
    const addressesOf = (one: string) => networks.map((network) => address(one, network));
    const hosts: Hosts = {
      folder,
      directory: addressesOf(directoryHost),
      servers: serverHosts.map(addressesOf),
      caller: addressesOf(callerHost),
    };
    settled ??= contender.settle?.(hosts);
    if (settled === undefined) throw new Error(`${contender.name} has no programs for hosts of its own`);
    const place = JSON.stringify(settled.place);
    const part = (role: string, index = 0) => ({
      command: [process.execPath, path.join(import.meta.dirname, "cut-part.ts"), role, word, place, String(index)],
      env: compiledCode,
      ready: "news" as const,
    });
    if (name === "directory" || name === `agent ${callerHost}`) {
      const where = name === "directory" ? "directory" : "caller";
      const daemon = settled.programs.find((program) => program.host === where);
      // It is given a second to come up; those that need it try again by themselves.
      if (daemon !== undefined)
        return { command: ["/bin/sh", "-c", '(sleep 1; echo started) & exec "$0" "$@"', ...daemon.command], ready: /^started$/ };
    }
    if (name.startsWith("caller ")) return part("call");
    if (host.servers?.includes(name) === true) return part("serve", serverHosts.indexOf(host.name));
    return { command: [process.execPath, "--eval", idle], ready: "news" };
  };
}
