import type { Fleet } from "../fleet/index.ts";
import { type JsonValue, MusterError, formatDurationMs } from "../kernel/index.ts";
import { Options } from "./options.ts";
import { type Style, styleFor } from "./style.ts";
import { fieldLines, textTable } from "./text-table.ts";
import type { CliWorld } from "./world.ts";

/** Where an agent is looked for when nothing else is said, below the working folder. */
export const defaultSockets: readonly string[] = ["./.muster/agent.sock", "./.muster/directory.sock"];

const connectMsDefault = 5000;
const writeMsDefault = 10_000;
/** A person who waits longer is told for what. */
const noteAfterMs = 1000;

/** One run of one verb: its options, the world, and how it answers. */
export class Session {
  readonly world: CliWorld;
  readonly options: Options;
  /** What stood behind "--". */
  readonly commandLine: readonly string[];
  readonly style: Style;
  readonly json: boolean;
  #progressing = false;

  constructor(world: CliWorld, values: Readonly<Record<string, unknown>>, commandLine: readonly string[]) {
    this.world = world;
    this.options = new Options(values);
    this.commandLine = commandLine;
    this.json = this.options.flag("json");
    this.style = styleFor(world.stdout, world.env);
  }

  /** Addresses to try, in order: --agent, MUSTER_AGENT, the configuration file, the default sockets. */
  get agents(): readonly string[] {
    const named = this.options.list("agent", { split: true });
    return named.length > 0 ? named : defaultSockets;
  }

  /** A client; without tables it holds no replica and asks the agent. Rejects with `fleet/no-agent`. */
  async connect(tables: readonly string[] = []): Promise<Fleet> {
    const { clock } = this.world;
    const agents = await this.presentAgents();
    const note = clock.schedule(noteAfterMs, () => this.hint(this.style.dim(`waiting for an answer from ${agents.join(", ")} …`)));
    try {
      return await this.world.connect({ agents, tables, timeoutMs: this.options.durationMs("timeout") ?? connectMsDefault });
    } finally {
      note.cancel();
    }
  }

  /** Of the default sockets those that are there: nobody waits for an agent that was never started in this folder. */
  async presentAgents(): Promise<readonly string[]> {
    const { agents } = this;
    if (agents !== defaultSockets) return agents;
    const present: string[] = [];
    for (const path of agents) if (await this.world.fileExists(path)) present.push(path);
    if (present.length > 0) return present;
    throw new MusterError("fleet/no-agent", `no agent runs below this folder: there is neither ${agents.join(" nor ")}`, {
      next: "start one (muster agent --parent H:P --host NAME --route ADDRESS), or name it: --agent PATH or MUSTER_AGENT",
    });
  }

  /** Runs `use` with a client that is closed afterwards, whatever happens. */
  async withFleet<Result>(use: (fleet: Fleet) => Promise<Result>, tables: readonly string[] = []): Promise<Result> {
    const fleet = await this.connect(tables);
    try {
      return await use(fleet);
    } finally {
      await fleet.close();
    }
  }

  /** A change, with a limit: an agent without a directory would wait for one as long as it takes. */
  write<Result>(use: (fleet: Fleet) => Promise<Result>): Promise<Result> {
    const { clock } = this.world;
    const limitMs = this.options.durationMs("timeout") ?? writeMsDefault;
    return this.withFleet(
      (fleet) =>
        new Promise((resolve, reject) => {
          const limit = clock.schedule(limitMs, () =>
            reject(
              new MusterError("cli/no-directory", `the directory did not answer within ${formatDurationMs(limitMs)}`, {
                effect: "maybe",
                next: "see `muster status`: is the agent detached? Give it longer with --timeout 60s",
              }),
            ),
          );
          use(fleet)
            .then(resolve, reject)
            .finally(() => limit.cancel());
        }),
    );
  }

  /** One question to the agent. */
  ask(verb: string, args: JsonValue): Promise<JsonValue> {
    return this.withFleet((fleet) => fleet.query(verb, args));
  }

  print(text: string): void {
    this.world.stdout.write(text);
  }

  /** For a person only: hints that a script should not meet. Nothing with --json. */
  hint(text: string): void {
    if (!this.json) this.world.stderr.write(`${text}\n`);
  }

  /** One line that is written over by the next; only where a person watches. Empty: it is done. */
  progress(text: string): void {
    const { stderr } = this.world;
    if (stderr.isTerminal && !this.json && (text !== "" || this.#progressing)) stderr.write(`\r\u001b[K${text}`);
    this.#progressing = text !== "";
  }

  /** The answer of a verb with --json: one document; indented for a person who looks. */
  printJson(value: JsonValue): void {
    this.print(`${this.world.stdout.isTerminal ? JSON.stringify(value, null, 2) : JSON.stringify(value)}\n`);
  }

  printTable(headings: readonly string[], rows: readonly (readonly string[])[], right: readonly number[] = []): void {
    this.print(textTable(this.style, headings, rows, { right }));
  }

  printFields(fields: readonly (readonly [name: string, text: string])[]): void {
    this.print(fieldLines(this.style, fields));
  }

  /** "valid" and "invalid" as a person sees them at a glance. */
  validity(valid: boolean): string {
    return valid ? this.style.green("valid") : this.style.red("invalid");
  }

  printError(thrown: unknown, verbose: boolean): void {
    const style = styleFor(this.world.stderr, this.world.env);
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const write = (text: string) => this.world.stderr.write(text);
    if (this.json) {
      write(
        `${JSON.stringify(error instanceof MusterError ? error.toJSON() : { code: "cli/unexpected", message: error.message, effect: "maybe" })}\n`,
      );
      return;
    }
    if (error instanceof MusterError) {
      write(`${style.red("error:")} ${error.message} ${style.dim(`(${error.code})`)}\n`);
      if (error.effect !== "none")
        write(`       ${error.effect === "done" ? "it has taken effect" : "it may have taken effect: look before you repeat it"}\n`);
      if (error.next !== undefined) write(`${style.cyan("next:")}  ${error.next}\n`);
    } else {
      write(
        `${style.red("error:")} unexpected: ${error.message}\n${style.cyan("next:")}  this is a fault of Muster; --log-level debug shows where\n`,
      );
      if (verbose && error.stack !== undefined) write(`${style.dim(error.stack)}\n`);
    }
  }
}
