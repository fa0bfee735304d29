import { Command, CommanderError, Option } from "commander";
import { type KnownOptions, parseConfigFile } from "./config-file.ts";
import { exitCode, exitCodeOf, usageError } from "./errors.ts";
import { Options } from "./options.ts";
import { Session } from "./session.ts";
import { type Verb, type VerbAction, collect } from "./verb.ts";
import { verbs } from "./verbs/index.ts";
import type { CliWorld, Output } from "./world.ts";

/**
 * Runs one command line (without the interpreter and the script) and resolves with its exit code: 0 success, 1 not found or
 * refused, 2 usage, 3 no agent or directory reached. Never rejects. The caller ends the process with the code, also when
 * something is still open: `serve` leaves its link for the agent to see it end.
 */
export async function runCli(argv: readonly string[], world: CliWorld): Promise<number> {
  const { before, commandLine } = splitCommandLine(argv);
  let code: number = exitCode.success;
  const program = buildProgram(world, verbs, (command, action) => {
    command.action(async () => {
      const values = await valuesOf(command, world);
      const session = new Session(world, values, commandLine);
      if (commandLine.length > 0 && command.name() !== "serve")
        throw usageError(`"--" has no meaning for ${command.name()}`, "only serve takes a COMMAND behind it");
      code = await action(session, command.args);
    });
  });
  try {
    await program.parseAsync(before, { from: "user" });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCode.success : exitCode.usage;
    const debug = argv.includes("debug");
    new Session(world, { json: argv.includes("--json") }, []).printError(thrown, debug);
    return exitCodeOf(thrown);
  }
}

/** The COMMAND of `serve` is taken off first, so that its options are not mistaken for ours. */
function splitCommandLine(argv: readonly string[]): { readonly before: readonly string[]; readonly commandLine: readonly string[] } {
  const at = argv.indexOf("--");
  if (at < 0 || !argv.slice(0, at).includes("serve")) return { before: argv, commandLine: [] };
  return { before: argv.slice(0, at), commandLine: argv.slice(at + 1) };
}

function buildProgram(world: CliWorld, all: readonly Verb[], bind: (command: Command, action: VerbAction) => void): Command {
  const program = new Command("muster");
  program
    .description("Keeps the roll of a fleet: who serves what, on which host, and how to reach it now.")
    .version(world.version, "-V, --version", "print the version")
    .option("--agent <address>", "the agent (or directory) to ask: a socket or H:P; also MUSTER_AGENT", collect)
    .option("--config <file>", "a YAML file with any of these options, one a line")
    .option("--json", "answer in JSON, for scripts")
    .option("--timeout <duration>", "give up connecting after this long (default 5s), and changing (default 10s)")
    .addOption(new Option("--log-format <format>", "how a long-lived verb logs to stderr").choices(["human", "json"]))
    .addOption(new Option("--log-level <level>", "what it logs at least").choices(["debug", "info", "warn", "error"]))
    .helpOption("-h, --help", "explain the verb")
    .helpCommand("help [verb]", "explain a verb")
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput(outputs(world))
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .addHelpText("after", footer);
  for (const verb of all) verb(program, bind);
  for (const command of commandsBelow(program)) command.exitOverride().configureOutput(outputs(world)).allowExcessArguments(false);
  return program;
}

const footer = `
Exit codes: 0 success, 1 not found or refused, 2 wrong usage, 3 no agent or directory reached.
The agent is looked for at ./.muster/agent.sock, then ./.muster/directory.sock, unless --agent or MUSTER_AGENT names one.

Examples:
  muster directory --data ./data                       start a fleet on this machine
  muster agent --parent 10.0.0.1:7550 --host HOST9 --route 10.0.0.9
  muster serve metadata MDS.1.1 --port 1872 -- ./mds   put a program on the roll
  muster find metadata MDS.1                           where is it now?
`;

function outputs(world: CliWorld): {
  writeOut(text: string): void;
  writeErr(text: string): void;
  outputError(text: string, write: (text: string) => void): void;
} & HelpWidths {
  return {
    writeOut: (text) => world.stdout.write(text),
    writeErr: (text) => world.stderr.write(text),
    outputError: (text, write) => write(`${text.trimEnd()}\nnext:  muster help, or muster VERB --help\n`),
    getOutHelpWidth: () => helpWidth(world.stdout),
    getErrHelpWidth: () => helpWidth(world.stderr),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  };
}

interface HelpWidths {
  getOutHelpWidth(): number;
  getErrHelpWidth(): number;
  getOutHasColors(): boolean;
  getErrHasColors(): boolean;
}

function helpWidth(output: Output): number {
  return Math.min(output.columns ?? 100, 120);
}

function commandsBelow(program: Command): Command[] {
  return program.commands.flatMap((command) => [command, ...commandsBelow(command)]);
}

/** Command line, then environment, then configuration file. */
async function valuesOf(command: Command, world: CliWorld): Promise<Readonly<Record<string, unknown>>> {
  const given: Readonly<Record<string, unknown>> = command.optsWithGlobals();
  const environment = environmentOf(command, world.env);
  const path = new Options(given).text("config");
  if (path === undefined) return { ...environment, ...given };
  const known = knownOptions(rootOf(command));
  const file = await parseConfigFile(await world.readFile(path), path, verbName(command), known);
  return { ...file, ...environment, ...given };
}

/** Verbs whose --data is a folder; that of `serve` is an attribute. */
const nodeVerbs: ReadonlySet<string> = new Set(["up", "directory", "relay", "agent", "restore"]);

function environmentOf(command: Command, env: CliWorld["env"]): Readonly<Record<string, unknown>> {
  const agent = env["MUSTER_AGENT"] ?? "";
  const data = env["MUSTER_DATA"] ?? "";
  const secret = env["MUSTER_SECRET"] ?? "";
  return {
    ...(agent === "" ? {} : { agent: [agent] }),
    ...(data === "" || !nodeVerbs.has(command.name()) ? {} : { data }),
    ...(secret === "" || !nodeVerbs.has(command.name()) ? {} : { secret }),
  };
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

/** "table add" is "table-add" in a configuration file. */
function verbName(command: Command): string {
  const above = command.parent;
  return above === null || above.parent === null ? command.name() : `${above.name()}-${command.name()}`;
}

function knownOptions(program: Command): KnownOptions {
  const namesOf = (command: Command) =>
    new Set(
      command.options.flatMap((option) =>
        option.long === undefined || option.long === "--config" || option.long === "--version" ? [] : [option.long.slice(2)],
      ),
    );
  const known = new Map<string, ReadonlySet<string>>();
  for (const command of commandsBelow(program)) if (command.commands.length === 0) known.set(verbName(command), namesOf(command));
  return { global: namesOf(program), verbs: known };
}
