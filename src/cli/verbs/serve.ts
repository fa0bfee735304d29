import { CheckLoop, parseCheck } from "../../checks/index.ts";
import type { Fleet, ServedEntry } from "../../fleet/index.ts";
import { type JsonValue, MusterError, errorOf, every, sleep } from "../../kernel/index.ts";
import { flagOf, optionalTextOf, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode, usageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";
import { parseJsonOption } from "../value.ts";
import type { CommandEnd, RunningCommand, StopSignal } from "../world.ts";

const maxPeriodMsDefault = 3000;
const graceMsDefault = 10_000;
const pidLookMs = 100;
/** The roll is told of an end within this, or learns of it from the closed link. */
const tellMsMax = 2000;

/** Puts any program of any language on the roll, for as long as it runs. */
export const serve: Verb = (program, bind) => {
  const command = program
    .command("serve <table> <key>")
    .usage("<table> <key> --port N [options] -- COMMAND…")
    .description(
      "Run COMMAND and keep its entry on the roll: valid while it runs (with --check: while it answers), invalid the moment it dies. On SIGTERM the entry is drained first: COMMAND hears of it when no new work reaches it, and the entry is deleted when COMMAND has ended. COMMAND dies with this wrapper, even by kill -9. Its exit code is passed on.",
    )
    .option("--port <port>", "the port that it listens on")
    .option("--host <name>", "the host that it runs on (default: the agent's)")
    .option("--data <json>", "attributes and protocol data of the entry")
    .option("--max-period <duration>", "it counts as hung when this wrapper is not heard for that long (default 3s)")
    .option("--check <check>", "valid only while it answers: tcp, http:/health, http://H:P/health or a command")
    .option("--every <duration>", "how often it is checked (default 1s)")
    .option("--grace <duration>", "how long it may take to stop before it is killed (default 10s)")
    .option("--pid <pid>", "instead of a COMMAND: a program that runs already, until it ends")
    .addHelpText(
      "after",
      example(
        "muster serve metadata MDS.1.1 --port 1872 -- ./mds --listen 1872",
        `muster serve gateway GW.1 --port 8080 --data '{"zone":"a"}' --check http:/health -- python3 app.py`,
        "muster serve gateway GW.2 --port 80 --check tcp                 # it runs already: valid while it answers",
        "muster serve gateway GW.3 --port 80 --pid $(cat nginx.pid)      # … or while the process lives",
      ),
    );
  bind(command, (session, [table = "", key = ""]) => runServe(session, table, key));
};

interface ServePlan {
  readonly table: string;
  readonly key: string;
  readonly port: number;
  readonly data: JsonValue | undefined;
  readonly maxPeriodMs: number;
  readonly check: string | undefined;
  readonly everyMs: number;
  readonly graceMs: number;
  readonly pid: number | undefined;
}

function parsePlan({ options, commandLine }: Session, table: string, key: string): ServePlan {
  const port = options.integer("port", 1, 65_535);
  if (port === undefined) throw usageError("--port is missing", "name the port that the program listens on: --port 8080");
  const data = options.text("data");
  const check = options.text("check");
  const pid = options.integer("pid", 1, 2 ** 31 - 1);
  if (commandLine.length > 0 && pid !== undefined) throw usageError("--pid and a COMMAND exclude each other", "leave one of them out");
  if (commandLine.length === 0 && pid === undefined && check === undefined)
    throw usageError("there is no COMMAND", 'write it behind "--", or watch a running program with --check or --pid');
  if (check !== undefined) parseCheck(check, { host: "127.0.0.1", port });
  return {
    table,
    key,
    port,
    data: data === undefined ? undefined : parseJsonOption("--data", data),
    maxPeriodMs: options.durationMs("maxPeriod") ?? maxPeriodMsDefault,
    check,
    everyMs: options.durationMs("every") ?? 1000,
    graceMs: options.durationMs("grace") ?? graceMsDefault,
    pid,
  };
}

async function runServe(session: Session, table: string, key: string): Promise<number> {
  const plan = parsePlan(session, table, key);
  const stops = new StopSignals(session);
  const fleet = await session.connect();
  let leave = true;
  const stopping: Stopping = { stop: () => Promise.resolve(exitCode.success) };
  try {
    const host = await hostOf(session, fleet);
    const { port, data, maxPeriodMs } = plan;
    // Claimed before the program starts: when another one holds the key, a second one must not touch what the first works on.
    const claim = fleet.serve(table, key, {
      ...{ port, host, valid: false, maxPeriodMs, ...(data === undefined ? {} : { data }) },
      drain: async () => void (await stopping.stop()),
      drainMs: plan.graceMs + tellMsMax,
    });
    const served = await Promise.race([claim, stops.first]);
    if (typeof served === "string") return exitCodeOf({ signal: served });
    const running = await start(session, plan).catch(async (thrown: unknown) => {
      await served.close();
      throw thrown;
    });
    const watching = keepValid(session, fleet, served, plan, host);
    const end = await Promise.race([running.ended, stops.first, watching.failed]);
    watching.close();
    if (end instanceof Error) {
      running.signal("SIGKILL");
      throw end;
    }
    if (typeof end === "string") {
      return await leaveDrained(session, served, stops, stopping, () => stopCommand(session, running, stops, end, plan.graceMs));
    }
    // The entry stays, invalid, until its program returns. The link is left open: the agent sees it end with this process.
    leave = false;
    const how = end.signal === undefined ? `with code ${end.code ?? 1}` : `by ${end.signal}`;
    const reason =
      plan.pid === undefined ? `its program ${session.commandLine[0] ?? ""} ended ${how}` : `its process ${plan.pid} has ended`;
    await within(session, served.update({ valid: false, because: { state: "dead", reason } }));
    session.hint(`${table}/${key} is invalid: its program ended ${how}`);
    return exitCodeOf(end);
  } finally {
    stops.close();
    if (leave) await fleet.close();
  }
}

async function hostOf({ options }: Session, fleet: Fleet): Promise<string> {
  const named = options.text("host") ?? fleet.host;
  if (named !== undefined) return named;
  const host = optionalTextOf(parseFields(await fleet.query("status", {})), "host");
  if (host !== "") return host;
  throw new MusterError("cli/no-host", "it is not known on which host this program runs, because no agent was asked", {
    next: "start this host's agent, or name the host: --host HOST9",
  });
}

function start({ world, commandLine }: Session, { table, key, port, pid }: ServePlan): Promise<Pick<RunningCommand, "ended" | "signal">> {
  if (commandLine.length > 0)
    return world.commands.spawn(commandLine, { env: { MUSTER_TABLE: table, MUSTER_KEY: key, MUSTER_PORT: String(port) } });
  if (pid === undefined) return Promise.resolve({ ended: new Promise(() => {}), signal: () => {} });
  if (!world.commands.isAlive(pid))
    return Promise.reject(new MusterError("cli/no-process", `there is no process ${pid}`, { next: "look with: ps" }));
  const ended = new Promise<CommandEnd>((resolve) => {
    const look = every(world.clock, pidLookMs, () => {
      if (world.commands.isAlive(pid)) return;
      look.cancel();
      resolve({ code: exitCode.refused });
    });
  });
  // A program that we did not start is not ours to stop.
  return Promise.resolve({ ended, signal: () => {} });
}

interface KeptValid {
  /** Resolves with the reason when the entry cannot be on the roll; else never. */
  readonly failed: Promise<Error>;
  close(): void;
}

/** Sets the entry valid, once or as its check says. */
function keepValid(session: Session, fleet: Fleet, served: ServedEntry, plan: ServePlan, host: string): KeptValid {
  const { check, table, key, port } = plan;
  const name = session.style.bold(`${table}/${key}`);
  const where = `${host}:${port}`;
  if (check === undefined) {
    const failed = whenFailed(served.update({ valid: true }).then(() => session.hint(`${name} is on the roll (${where})`)));
    return { failed, close: () => {} };
  }
  let loop: CheckLoop | undefined;
  let closed = false;
  const opening = addressOf(fleet, host).then((address) => {
    if (!closed) loop = openLoop(session, served, plan, check, address);
    session.hint(`${name} is on the roll while ${check} answers (${where})`);
  });
  return {
    failed: whenFailed(opening),
    close: () => {
      closed = true;
      loop?.close();
    },
  };
}

function openLoop(
  session: Session,
  served: ServedEntry,
  { table, key, port, everyMs }: ServePlan,
  check: string,
  address: string,
): CheckLoop {
  const parsed = parseCheck(check, { host: address, port });
  const { clock, random, checks } = session.world;
  return new CheckLoop(
    {
      everyMs,
      check: () => parsed,
      turned: async (verdict, reason) => {
        session.hint(`${table}/${key}: ${check} ${verdict === "healthy" ? "answers" : `failed: ${reason}`}`);
        if (verdict === "healthy") await served.update({ valid: true });
        else await served.update({ valid: false, because: { state: "hung", reason: `its check ${check} failed: ${reason}` } });
      },
    },
    { clock, random, runner: checks },
  );
}

function whenFailed(work: Promise<unknown>): Promise<Error> {
  return new Promise((resolve) => {
    work.catch((thrown: unknown) => resolve(errorOf(thrown)));
  });
}

/** The address that others reach the host at: what is checked is what they will call. */
async function addressOf(fleet: Fleet, host: string): Promise<string> {
  const [state] = parseRows(await fleet.query("hosts", { host }));
  const current = parseRows(state?.["routes"] ?? []).find((route) => flagOf(route, "current"));
  return current === undefined ? "127.0.0.1" : textOf(current, "address");
}

/** How COMMAND is stopped, and what it ended with: done once, whoever asks first. */
interface Stopping {
  stop: () => Promise<number>;
}

/** Drained, then COMMAND is stopped, then the entry is deleted. A second signal, or a silent fleet, does not hold COMMAND up. */
async function leaveDrained(
  session: Session,
  served: ServedEntry,
  stops: StopSignals,
  stopping: Stopping,
  stopCommand: () => Promise<number>,
): Promise<number> {
  let begun: () => void = () => {};
  const beginning = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let ending: Promise<number> | undefined;
  stopping.stop = () => {
    begun();
    return (ending ??= stopCommand());
  };
  const leaving = served.close();
  const told = leaving.catch(() => {});
  await within(session, Promise.race([beginning, stops.second, told]));
  const code = await stopping.stop();
  await within(session, leaving);
  return code;
}

/** Forwards the stop signal, waits, then kills the group. */
async function stopCommand(
  session: Session,
  running: Pick<RunningCommand, "ended" | "signal">,
  stops: StopSignals,
  signal: StopSignal,
  graceMs: number,
): Promise<number> {
  if (session.commandLine.length === 0) return exitCode.success;
  const { clock } = session.world;
  running.signal(signal);
  const patience = new AbortController();
  const late = sleep(clock, graceMs, patience.signal).catch(() => {});
  const end = await Promise.race([running.ended, late, stops.second]);
  patience.abort();
  // What the program has started in its turn goes with it.
  running.signal("SIGKILL");
  return exitCodeOf(end ?? (await running.ended));
}

function exitCodeOf(end: CommandEnd | StopSignal): number {
  if (typeof end === "string") return 128 + signalNumber("SIGKILL");
  return end.signal === undefined ? (end.code ?? exitCode.refused) : 128 + signalNumber(end.signal);
}

/** As shells count them. */
function signalNumber(name: string): number {
  return { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 }[name] ?? 1;
}

/** Says what went wrong, but waits no longer than `tellMsMax`. */
async function within(session: Session, telling: Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  const told = telling.catch((thrown: unknown) => session.hint(`the roll could not be told: ${errorOf(thrown).message}`));
  await Promise.race([told, sleep(session.world.clock, tellMsMax, patience.signal).catch(() => {})]);
  patience.abort();
}

/** The first and the second stop signal, from before anything is started. */
class StopSignals {
  readonly first: Promise<StopSignal>;
  readonly second: Promise<StopSignal>;
  readonly #forget: () => void;

  constructor(session: Session) {
    const resolvers: ((signal: StopSignal) => void)[] = [];
    const next = () => new Promise<StopSignal>((resolve) => resolvers.push(resolve));
    this.first = next();
    this.second = next();
    this.#forget = session.world.onSignal((signal) => resolvers.shift()?.(signal));
  }

  close(): void {
    this.#forget();
  }
}
