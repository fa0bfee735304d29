import path from "node:path";
import type { ProgramOptions } from "../programs/parent.ts";
import { type HostPlan, type ProcessName, type Scenario, membersOf, nodeOf, parentsOf, portOf, serverAttributes } from "../scenario.ts";
import type { Program } from "./lab-process.ts";
import { numbers } from "./wires.ts";

/** What a program of a scenario is, on real hosts. Benches bring their own to put peers through the same faults. */
export type Cast = (name: ProcessName, surroundings: Surroundings) => Program;

export interface Surroundings {
  readonly scenario: Scenario;
  readonly host: HostPlan;
  /** A folder for sockets and data. */
  readonly folder: string;
  readonly preset: "lan" | "wan" | "test";
  /** The present address of a host on a network. */
  address(host: string, network: number): string;
}

const linkPort = 7550;
const root = path.resolve(import.meta.dirname, "../../..");
const muster = path.join(root, "bin/muster.js");
const programs = path.join(import.meta.dirname, "../programs");
/** Fleets start faster with compiled code kept between runs. */
const env = { NODE_COMPILE_CACHE: path.join(root, ".cache/compiled") };

/** Directory, relays and agents by the command line, everything else by the public library. */
export const musterCast: Cast = (name, surroundings) => {
  const { host, scenario, folder } = surroundings;
  if (name === nodeOf(host)) return { command: [process.execPath, muster, ...nodeArguments(surroundings)], env, ready: /: ready$/ };
  const [kind] = name.split(" ");
  const file = kind === "observer" || kind === "caller" ? kind : "server";
  const { service, serviceTimeMs, deadlineMs, asking = "request", keepsAnswers = false, work } = scenario.load;
  const options: ProgramOptions = {
    agent: socketOf(folder, host),
    host: host.name,
    name,
    service,
    serviceTimeMs,
    deadlineMs,
    asking,
    port: portOf(scenario.fleet, name),
    maxPeriodMs: scenario.fleet.maxPeriodMs ?? serverAttributes.maxPeriodMs,
    members: kind === "caller" ? membersOf(scenario.fleet).map(({ server }) => server) : kind === "members" ? (host.members ?? []) : [],
    folder,
    keepsAnswers,
    ...(work === undefined ? {} : { work }),
  };
  return { command: [process.execPath, path.join(programs, `${file}.ts`), JSON.stringify(options)], env, ready: "news" };
};

function nodeArguments({ scenario, host, folder, preset, address }: Surroundings): readonly string[] {
  const routes = numbers(scenario.fleet.networks).flatMap((network) => ["--route", address(host.name, network)]);
  const usual = ["--plaintext", "--http", "off", "--preset", preset, "--socket", socketOf(folder, host), "--log-level", "info"];
  const listen = ["--listen", `0.0.0.0:${linkPort}`];
  const parents = () => [
    "--parent",
    parentsOf(scenario.fleet, host)
      .flatMap((parent) => numbers(scenario.fleet.networks).map((network) => `${address(parent, network)}:${linkPort}`))
      .join(","),
  ];
  switch (host.node) {
    case "directory":
      return ["directory", "--data", path.join(folder, "data"), "--host", host.as ?? host.name, ...routes, ...listen, ...usual];
    case "relay":
      return ["relay", ...parents(), ...listen, ...usual];
    case "agent":
      return ["agent", ...parents(), "--host", host.as ?? host.name, ...routes, ...usual];
  }
}

function socketOf(folder: string, { name }: HostPlan): string {
  return path.join(folder, `${name}.sock`);
}
