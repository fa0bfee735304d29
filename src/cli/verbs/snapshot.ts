import { formatInstant, formatRevision } from "../../kernel/index.ts";
import { exitCode, usageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";
import type { SnapshotSummary } from "../world.ts";

const saveMsDefault = 60_000;

/** The roll as one file, and back. */
export const snapshot: Verb = (program, bind) => {
  const group = program.command("snapshot").description("Save the whole roll to a file, or make a data directory from such a file.");
  const save = group
    .command("save <file>")
    .description(
      "Save the roll while the fleet runs: it holds at least every change that was acknowledged before. An older file is replaced.",
    )
    .option("--detached", "also when no directory is heard: save what the agent holds")
    .addHelpText("after", example("muster snapshot save fleet.snapshot", "muster --agent 10.0.0.1:7550 snapshot save fleet.snapshot"));
  bind(save, async (session, [file = ""]) => {
    const { options, world } = session;
    const timeoutMs = options.durationMs("timeout") ?? saveMsDefault;
    const saved = await world.saveSnapshot({ agents: await session.presentAgents(), file, timeoutMs, detached: options.flag("detached") });
    show(session, file, saved, "saved");
    return exitCode.success;
  });
  const restore = group
    .command("restore <file>")
    .description(
      "Make the data directory of a directory that is not running from a snapshot. The directory that starts on it begins a higher epoch; agents come back to it and assert what they run.",
    )
    .option("--data <folder>", "the data directory; empty or new, unless --replace is given (default ./.muster/data; also MUSTER_DATA)")
    .option("--replace", "replace the roll that is there; it is kept beside the new one as replaced-roll.mdb")
    .option("--epoch-above <epoch>", "begin above this epoch, when nodes refuse the restored directory because they have seen it")
    .addHelpText("after", example("muster snapshot restore fleet.snapshot --data ./data", "muster directory --data ./data"));
  bind(restore, async (session, [file = ""]) => {
    const { options, world } = session;
    if (file === "") throw usageError("restore needs the file of a snapshot", "muster snapshot restore FILE --data DIR");
    const data = options.text("data") ?? ".muster/data";
    const epochAbove = options.integer("epochAbove", 0, Number.MAX_SAFE_INTEGER);
    const restored = await world.restoreSnapshot({
      file,
      data,
      replace: options.flag("replace"),
      ...(epochAbove === undefined ? {} : { epochAbove }),
    });
    show(session, file, restored, "restored");
    session.hint(`${session.style.cyan("next:")}  muster directory --data ${data}`);
    return exitCode.success;
  });
};

function show(session: Session, file: string, summary: SnapshotSummary, done: string): void {
  const { fleet, entries, epoch, sequence, savedUnixMs } = summary;
  const revision = formatRevision({ epoch, sequence });
  const when = done === "saved" ? "" : `, saved ${formatInstant(savedUnixMs)}`;
  if (session.json) session.printJson({ file, fleet, revision, entries, savedUnixMs });
  else session.print(`${done} ${session.style.bold(file)}: ${entries} entries of fleet ${fleet} as of ${revision}${when}\n`);
}
