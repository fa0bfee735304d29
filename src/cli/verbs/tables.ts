import { optionalTextOf, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** What tables there are. */
export const tables: Verb = (program, bind) => {
  const command = program
    .command("tables")
    .description("List the tables with their symbolic names, their mappings and how many entries they hold.")
    .addHelpText("after", example("muster tables", "muster tables --json | jq -r '.[].name'"));
  bind(command, async (session) => {
    const answer = await session.ask("tables", {});
    if (session.json) session.printJson(answer);
    else {
      const rows = parseRows(answer).map((row) => [
        session.style.bold(textOf(row, "name")),
        textOf(row, "entries"),
        optionalTextOf(row, "symbol"),
        optionalTextOf(row, "mapping"),
      ]);
      session.printTable(["table", "entries", "symbol", "mapping"], rows, [1]);
    }
    return exitCode.success;
  });
};
