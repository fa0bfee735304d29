import { formatRevision } from "../../kernel/index.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** Takes a server, a service instance or a host out of use, and back. */
export const drain: Verb = (program, bind) => {
  const command = program
    .command("drain <target>")
    .usage("<KEY|HOST> [options]")
    .description(
      "Take a server, the members of a service instance or a host out of use. Ends when every attached node knows: no new work reaches it then, while others are left; work under way goes on. The mark of a server lasts until --off or until another program holds its key, that of a host until --off.",
    )
    .option("--off", "take it back into use")
    .option("--table <table>", "the table of KEY, when more than one has it; hosts for a host")
    .option("--reason <text>", "shown by muster why")
    .addHelpText("after", example("muster drain MDS.1.1", "muster drain HOST9 --reason 'new disks'", "muster drain HOST9 --off"));
  bind(command, async (session, [target = ""]) => {
    const { options, style } = session;
    const off = options.flag("off");
    const table = options.text("table");
    const reason = options.text("reason");
    const deadlineMs = options.durationMs("timeout");
    const { entries, revision, detached } = await session.write((fleet) =>
      fleet.drain(target, {
        off,
        ...(table === undefined ? {} : { table }),
        ...(reason === undefined ? {} : { reason }),
        // The connection's own limit must not be the first to end.
        ...(deadlineMs === undefined ? {} : { deadlineMs: deadlineMs * 0.9 }),
      }),
    );
    if (session.json) {
      session.printJson({ target, draining: !off, entries, revision: revision === undefined ? null : formatRevision(revision), detached });
      return exitCode.success;
    }
    if (revision === undefined) session.hint(`nothing of ${target} was draining`);
    const news = off ? "is in use again" : "is draining: no new work reaches it";
    for (const entry of entries) session.print(`${style.bold(entry)} ${news}\n`);
    if (detached > 0) session.hint(`${detached} detached node${detached === 1 ? "" : "s"} will hear of it when they are back`);
    return exitCode.success;
  });
};
