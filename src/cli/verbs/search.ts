import type { JsonValue } from "../../kernel/index.ts";
import { flagOf, optionalTextOf, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { formatValue } from "../format-value.ts";
import { type Verb, collect, example } from "../verb.ts";
import { whereOf } from "../where.ts";

/** Key search by prefix. */
export const search: Verb = (program, bind) => {
  const command = program
    .command("search <table> [prefix]")
    .description("List the entries whose keys begin with PREFIX (raw leading characters); without one the whole table.")
    .option("--where <name=value>", "only entries whose attributes say so; repeatable, all must hold", collect)
    .addHelpText("after", example("muster search metadata", "muster search metadata MDS.1", "muster search gateway --where zone=a --json"));
  bind(command, async (session, [table = "", prefix = ""]) => {
    const where = whereOf(session);
    const entries: JsonValue[] = [];
    await session.withFleet(async (fleet) => {
      // Page by page: a table may be larger than what a link carries in one piece.
      for (let after: string | undefined = ""; after !== undefined; ) {
        const page = parseFields(await fleet.query("search-page", { table, prefix, after, ...(where === undefined ? {} : { where }) }));
        const rows = page["entries"];
        if (Array.isArray(rows)) entries.push(...rows);
        after = typeof page["after"] === "string" ? page["after"] : undefined;
        session.progress(after === undefined ? "" : `${entries.length} entries read …`);
      }
    });
    if (session.json) session.printJson(entries);
    else if (entries.length === 0) session.hint(`no entry of ${table} ${prefix === "" ? "is there" : `begins with ${prefix}`}`);
    else
      session.printTable(
        ["key", "state", "value", "revision", "owner"],
        parseRows(entries).map((row) => [
          session.style.bold(textOf(row, "key")),
          session.validity(flagOf(row, "valid")),
          formatValue(row["value"] ?? null),
          textOf(row, "revision"),
          optionalTextOf(row, "owner"),
        ]),
      );
    return exitCode.success;
  });
};
