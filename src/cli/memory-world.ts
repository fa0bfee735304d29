import type { Check, CheckResult, CheckRunner } from "../checks/index.ts";
import type { Fleet } from "../fleet/index.ts";
import { MusterError, SeededRandom } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import type {
  AgentRun,
  CliWorld,
  CommandEnd,
  CommandSpawner,
  ConnectRequest,
  DirectoryRun,
  Output,
  RelayRun,
  RunningCommand,
  SnapshotRestore,
  SnapshotSave,
  SnapshotSummary,
  StopSignal,
  UpRun,
} from "./world.ts";

/** Collects what is written, and lets a test wait for a text. */
export class MemoryOutput implements Output {
  isTerminal = false;
  columns = 100;
  text = "";
  #waiting: { readonly wanted: string; readonly resolve: () => void }[] = [];

  write(text: string): void {
    this.text += text;
    this.#waiting = this.#waiting.filter(({ wanted, resolve }) => {
      if (!this.text.includes(wanted)) return true;
      resolve();
      return false;
    });
  }

  /** Resolves when `wanted` has been written. */
  shows(wanted: string): Promise<void> {
    return this.text.includes(wanted) ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }
}

/** A command that ends when a test says so. */
export class MemoryCommand implements RunningCommand {
  readonly pid = 4711;
  readonly ended: Promise<CommandEnd>;
  readonly command: readonly string[];
  readonly signals: string[] = [];
  /** What it does about a signal; default: it ends by it. */
  obeys: (signal: string) => boolean = () => true;
  #end: (end: CommandEnd) => void = () => {};

  constructor(command: readonly string[]) {
    this.command = command;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  end(end: CommandEnd): void {
    this.#end(end);
  }

  signal(name: StopSignal | "SIGKILL"): void {
    this.signals.push(name);
    if (name === "SIGKILL" || this.obeys(name)) this.#end({ signal: name });
  }
}

/** The command line's world in memory: a fleet that the test brings, a clock that it moves, commands that it ends. */
export class MemoryWorld implements CliWorld {
  readonly version = "1.2.3";
  env: Record<string, string> = {};
  readonly stdout = new MemoryOutput();
  readonly stderr = new MemoryOutput();
  readonly clock = new ManualClock();
  readonly random = new SeededRandom(7);
  readonly files = new Map<string, string>();
  readonly connects: ConnectRequest[] = [];
  readonly started: MemoryCommand[] = [];
  readonly runs: (DirectoryRun | RelayRun | AgentRun | UpRun)[] = [];
  /** Answers of checks, in turn; the last one stays. */
  checkResults: CheckResult[] = [{ healthy: true, reason: "connected" }];
  readonly checked: Check[] = [];
  /** Called before a command starts. */
  starting: () => void = () => {};
  readonly #fleet: Fleet | undefined;
  readonly #signalHandlers = new Set<(signal: StopSignal) => void>();

  constructor(fleet?: Fleet) {
    this.#fleet = fleet;
    this.files.set("./.muster/agent.sock", "");
  }

  readonly commands: CommandSpawner = {
    spawn: async (command) => {
      this.starting();
      if (command[0] === "missing") throw new MusterError("cli/cannot-start", "missing cannot be started", { next: "check the path" });
      const running = new MemoryCommand(command);
      this.started.push(running);
      return running;
    },
    isAlive: (pid) => this.alive.has(pid),
  };

  readonly alive = new Set<number>();

  readonly checks: CheckRunner = {
    run: async (check) => {
      this.checked.push(check);
      const [result = { healthy: false, reason: "nothing" }] = this.checkResults;
      if (this.checkResults.length > 1) this.checkResults.shift();
      return result;
    },
  };

  async connect(request: ConnectRequest): Promise<Fleet> {
    this.connects.push(request);
    const fleet = this.#fleet;
    if (fleet === undefined)
      throw new MusterError("fleet/no-agent", `no agent answers at ${request.agents.join(", ")}`, { next: "start one: muster agent" });
    // The fleet outlives the client that the verb closes.
    return new Proxy(fleet, {
      get: (target, name) => {
        if (name === "close") return async () => {};
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  async readFile(path: string): Promise<string> {
    const text = this.files.get(path);
    if (text === undefined) throw new MusterError("cli/no-file", `there is no file ${path}`, { next: "check the path" });
    return text;
  }

  async fileExists(path: string): Promise<boolean> {
    return this.files.has(path);
  }

  onSignal(handler: (signal: StopSignal) => void): () => void {
    this.#signalHandlers.add(handler);
    return () => this.#signalHandlers.delete(handler);
  }

  /** True while a verb takes care of signals itself. */
  get listens(): boolean {
    return this.#signalHandlers.size > 0;
  }

  signal(name: StopSignal): void {
    for (const handler of this.#signalHandlers) handler(name);
  }

  runDirectory = (run: DirectoryRun, stop: AbortSignal) => this.#run(run, stop);
  runRelay = (run: RelayRun, stop: AbortSignal) => this.#run(run, stop);
  runAgent = (run: AgentRun, stop: AbortSignal) => this.#run(run, stop);
  runUp = (run: UpRun, stop: AbortSignal) => this.#run(run, stop);

  readonly saves: SnapshotSave[] = [];
  readonly restores: SnapshotRestore[] = [];
  /** What each snapshot is said to hold. */
  snapshot: SnapshotSummary = { fleet: "f1", epoch: 3, sequence: 42, entries: 17, savedUnixMs: 1_767_225_600_000 };

  async saveSnapshot(save: SnapshotSave): Promise<SnapshotSummary> {
    this.saves.push(save);
    this.files.set(save.file, JSON.stringify(this.snapshot));
    return this.snapshot;
  }

  async restoreSnapshot(restore: SnapshotRestore): Promise<SnapshotSummary> {
    await this.readFile(restore.file);
    this.restores.push(restore);
    return this.snapshot;
  }

  #run(run: DirectoryRun | RelayRun | AgentRun | UpRun, stop: AbortSignal): Promise<number> {
    this.runs.push(run);
    this.stdout.write("running\n");
    return new Promise((resolve) => stop.addEventListener("abort", () => resolve(0), { once: true }));
  }
}
