import { mkdirSync } from "node:fs";
import path from "node:path";
import { Faults } from "../faults.ts";
import type { News } from "../programs/parent.ts";
import { monoMs } from "../programs/parent.ts";
import type { ProcessEnd, SaidLine, Sighting } from "../record.ts";
import { type Action, type Scenario, portOf, programsOf, serverAttributes, serverProcessesOf } from "../scenario.ts";
import type { KeptLog, WorkOperation } from "../histories/work.ts";
import type { KnownGroup } from "../strikes.ts";
import type { LoadReport } from "../tally.ts";
import { compileCable } from "./cable.ts";
import type { Cast } from "./cast.ts";
import { LabProcess } from "./lab-process.ts";
import { removeRun, runFolder } from "./run-id.ts";
import { WallClocks } from "./wall-clock.ts";
import { Wires } from "./wires.ts";

export interface StageOptions {
  readonly run: string;
  readonly cast: Cast;
  readonly preset: "lan" | "wan" | "test";
  /** Told what happens, for people who watch. */
  readonly log: (text: string) => void;
}

/** So many programs start at the same time: a whole crowd would keep each other from being ready in time. */
const startingMax = 10;

/** A fleet of real processes in network namespaces, and everything that can be done to it. */
export class Stage {
  readonly scenario: Scenario;
  readonly wires: Wires;
  readonly sightings: Sighting[] = [];
  readonly ends: ProcessEnd[] = [];
  readonly said: SaidLine[] = [];
  readonly reports = new Map<string, readonly LoadReport[]>();
  readonly operations: WorkOperation[] = [];
  /** What servers keep, once a caller was told to read it. */
  kept: readonly KeptLog[] | undefined;
  readonly #options: StageOptions;
  readonly #processes = new Map<string, LabProcess>();
  readonly #faults: Faults;
  readonly #clocks: WallClocks;
  readonly #addresses = new Map<string, string>();
  /** By the key of its row. */
  readonly #groups = new Map<string, KnownGroup & { readonly epoch: number }>();
  #closing = false;

  private constructor(scenario: Scenario, wires: Wires, options: StageOptions) {
    this.scenario = scenario;
    this.wires = wires;
    this.#options = options;
    this.#faults = new Faults(scenario.fleet);
    this.#clocks = new WallClocks(runFolder(options.run), scenario);
  }

  /** Lays the networks and starts all programs that are not idle. What has begun is cleared away when it fails. */
  static async set(scenario: Scenario, options: StageOptions): Promise<Stage> {
    const folder = runFolder(options.run);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      const slow = slowPlaces(scenario);
      const cableProgram = slow.length === 0 ? undefined : await compileCable(folder);
      const wires = await Wires.lay({
        run: options.run,
        hosts: scenario.fleet.hosts.map(({ name }) => name),
        networks: scenario.fleet.networks,
        slow,
        ...(cableProgram === undefined ? {} : { cableProgram }),
      });
      const stage = new Stage(scenario, wires, options);
      try {
        await stage.#start(folder);
        return stage;
      } catch (thrown) {
        await stage.close();
        throw thrown;
      }
    } catch (thrown) {
      await removeRun(options.run);
      throw thrown;
    }
  }

  process(name: string): LabProcess {
    const found = this.#processes.get(name);
    if (found === undefined) throw new Error(`there is no process ${name}; there are ${[...this.#processes.keys()].join(", ")}`);
    return found;
  }

  get processes(): readonly LabProcess[] {
    return [...this.#processes.values()];
  }

  /** The ordering group of a service instance, as observers were told last. */
  group(instance: string): KnownGroup | undefined {
    return this.#groups.get(`${serverAttributes.table}/${instance}`);
  }

  /** Does it and resolves when it is done; a started program becomes ready later. */
  async act(action: Action): Promise<void> {
    if (this.#faults.note(action) && action.do !== "unplug" && action.do !== "plug") {
      await this.wires.apply(this.#faults);
      return;
    }
    switch (action.do) {
      case "kill":
        return this.process(action.process).kill();
      case "stop":
        return this.process(action.process).signal("SIGSTOP");
      case "continue":
        return this.process(action.process).signal("SIGCONT");
      case "start":
        return this.#startLater(action.process);
      case "restart":
        this.process(action.process).kill();
        return this.#startLater(action.process);
      case "loop":
        return this.process(action.process).order({ order: "loop" });
      case "unplug":
      case "plug":
        return this.wires.setPlugged(action.host, action.network, action.do === "plug");
      case "slow":
        return this.wires.setDelay(action.host, action.network, action.delayMs);
      case "refuse":
      case "accept":
        return this.wires.refuse(action.host, action.do === "refuse" ? this.#serverPorts() : []);
      case "jump":
        return this.#clocks.jump(action.host, action.byMs);
      case "readdress": {
        const address = `10.77.${action.network}.${action.last}`;
        this.#addresses.set(`${action.host} ${action.network}`, address);
        return this.wires.readdress(action.host, action.network, address);
      }
      default:
        throw new Error(`nobody knows how to ${action.do}`);
    }
  }

  /** Ends all processes, removes the namespaces and the folder. Idempotent. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const one of this.#processes.values()) if (one.alive) one.kill();
    this.wires.close();
    await removeRun(this.#options.run);
  }

  async #start(folder: string): Promise<void> {
    for (const host of this.scenario.fleet.hosts)
      for (const name of programsOf(host)) this.#processes.set(name, this.#process(name, host.name, folder));
    const names = this.scenario.fleet.hosts.filter(({ idle }) => idle !== true).map((host) => programsOf(host));
    // Parents before children; within a generation many at once, since most of a start is waiting for others.
    const generations = ["directory", "relay", "agent"].map((kind) =>
      names.flatMap(([node = ""]) => (node.startsWith(kind) ? [node] : [])),
    );
    for (const generation of [...generations, names.flatMap(([, ...others]) => others)]) {
      const waiting = [...generation];
      const startSome = async () => {
        for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await this.process(name).start();
      };
      await Promise.all(Array.from({ length: startingMax }, startSome));
    }
  }

  #process(name: string, hostName: string, folder: string): LabProcess {
    const { scenario } = this;
    const host = scenario.fleet.hosts.find((one) => one.name === hostName);
    if (host === undefined) throw new Error(`there is no host ${hostName}`);
    const address = (of: string, network: number) => this.#addresses.get(`${of} ${network}`) ?? this.wires.address(of, network);
    // Asked anew for each life: a host may have got another address.
    const program = () => {
      const cast = this.#options.cast(name, { scenario, host, folder, preset: this.#options.preset, address });
      return { ...cast, env: { ...cast.env, ...this.#clocks.env(hostName) }, command: [...this.wires.on(hostName), ...cast.command] };
    };
    return new LabProcess(name, hostName, program, {
      cwd: folder,
      logFile: path.join(folder, `${name.replace(" ", "-")}.log`),
      news: (news) => this.#heard(name, news),
      said: (line) => this.said.push({ atMs: monoMs(), process: name, line: withoutTime(line) }),
      ended: (how, asked) => {
        if (this.#closing) return;
        this.ends.push({ atMs: monoMs(), process: name, how, asked });
        if (!asked) this.#options.log(`${name} ended: ${how}`);
      },
    });
  }

  #startLater(name: string): void {
    const startedMs = monoMs();
    this.process(name)
      .start()
      .then(
        () => this.said.push({ atMs: monoMs(), process: name, line: `is ready, ${(monoMs() - startedMs).toFixed(0)} ms after its start` }),
        (thrown: unknown) => {
          if (!this.#closing)
            this.said.push({ atMs: monoMs(), process: name, line: `error ${thrown instanceof Error ? thrown.message : String(thrown)}` });
        },
      );
  }

  #heard(name: string, news: News): void {
    switch (news.news) {
      case "sightings":
        this.sightings.push(...news.sightings);
        for (const sighting of news.sightings) this.#seeGroup(sighting);
        return;
      case "report":
        this.reports.set(name, [news.report]);
        return;
      case "worked":
        this.reports.set(name, news.reports);
        this.operations.push(...news.operations);
        return;
      case "kept":
        this.kept = news.kept;
        return;
      case "first-failure":
        this.#options.log(`${name}: first failed request: ${news.failure.code}: ${news.failure.message}`);
        return;
      case "ready":
        return;
    }
  }

  /** Observers tell late, each at its own times. */
  #seeGroup({ table, key, value }: Sighting): void {
    if (table !== "groups") return;
    const epoch = Number(/"epoch":(\d+)/.exec(value)?.[1]);
    const synchronising = /"synchronising":"([^"]+)"/.exec(value)?.[1];
    const members = [...value.matchAll(/"server":"([^"]+)"/g)].map(([, server = ""]) => server);
    if (synchronising !== undefined && epoch >= (this.#groups.get(key)?.epoch ?? 0))
      this.#groups.set(key, { epoch, synchronising, members });
  }

  #serverPorts(): readonly number[] {
    return this.scenario.fleet.hosts.flatMap(serverProcessesOf).flatMap((server) => {
      const port = portOf(this.scenario.fleet, server);
      return [port, port + serverAttributes.httpPortOffset];
    });
  }
}

/** Connections that a step makes slow, in any of the first rounds. */
export function slowPlaces(scenario: Scenario): readonly string[] {
  const steps = [0, 1, 2, 3, 4, 5].flatMap((round) => scenario.steps(round));
  return [...new Set(steps.flatMap(({ action }) => (action.do === "slow" ? [`${action.host} ${action.network}`] : [])))];
}

/** Logs begin with a wall time; the laboratory has its own. */
function withoutTime(line: string): string {
  return line.replace(/^\d\d:\d\d:\d\d\.\d+ /, "");
}
