import { type Fields, flagOf, optionalTextOf, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";

/** The service instances whose servers keep one state together. */
export const groups: Verb = (program, bind) => {
  const command = program
    .command("groups [key]")
    .description(
      "List the ordering groups: the epoch of each, who synchronises its writes, its members with their validity, and how many it needs. KEY is a service instance, one of its servers, or TABLE/INSTANCE.",
    )
    .addHelpText("after", example("muster groups", "muster groups MDS.1 --json"));
  bind(command, async (session, [key]) => {
    const answer = await session.ask("groups", key === undefined ? {} : { key });
    const rows = parseRows(answer);
    if (session.json) session.printJson(answer);
    else if (rows.length > 0)
      session.printTable(
        ["group", "epoch", "synchronising", "members", "needs"],
        rows.map((row) => rowOf(session, row)),
        [1, 4],
      );
    if (rows.length > 0 || key === undefined) {
      if (rows.length === 0) session.hint("no service instance has an ordering group");
      return exitCode.success;
    }
    session.hint(`${key} has no ordering group\nnext:  muster groups, or muster why ${key}`);
    return exitCode.refused;
  });
};

function rowOf(session: Session, row: Fields): readonly string[] {
  const { style } = session;
  const synchronising = textOf(row, "synchronising");
  const members = parseRows(row["members"] ?? []).map((member) => {
    const server = textOf(member, "server");
    if (!flagOf(member, "valid")) return style.red(`${server} (invalid)`);
    const state = optionalTextOf(member, "state");
    return state === "" ? server : style.yellow(`${server} (${state})`);
  });
  const primary = optionalTextOf(row, "primary");
  return [
    style.bold(textOf(row, "key")),
    textOf(row, "epoch"),
    primary === "" ? style.red(`${synchronising} (no primary)`) : synchronising,
    members.join(", "),
    textOf(row, "copiesMin"),
  ];
}
