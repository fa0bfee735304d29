import type { Operation } from "../../fleet/index.ts";
import { formatRevision } from "../../kernel/index.ts";
import { optionalTextOf, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** Takes an entry off the roll, together with its check. */
export const remove: Verb = (program, bind) => {
  const command = program
    .command("delete <table> <key>")
    .description("Delete an entry. One that is bound to a live program is refused, unless --force ends the binding.")
    .option("--force", "also when a live program holds it")
    .addHelpText("after", example("muster delete gateway GW.3", "muster delete metadata MDS.1.1 --force"));
  bind(command, async (session, [table = "", key = ""]) => {
    const force = session.options.flag("force");
    const revision = await session.write(async (fleet) => {
      const known = parseRows(await fleet.query("tables", {})).find(
        (row) => textOf(row, "name") === table || optionalTextOf(row, "symbol") === table,
      );
      const checkKey = `${known === undefined ? table : textOf(known, "name")}/${key}`;
      const check = await fleet.query("get", { table: "checks", key: checkKey });
      const operations: Operation[] = [{ op: "delete", table, key, force }];
      if (check !== null) operations.push({ op: "delete", table: "checks", key: checkKey });
      return fleet.change(operations);
    });
    if (session.json) session.printJson({ table, key, revision: formatRevision(revision) });
    else session.print(`deleted ${session.style.bold(`${table}/${key}`)} at ${formatRevision(revision)}\n`);
    return exitCode.success;
  });
};
