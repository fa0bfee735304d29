import type { Fleet } from "../../fleet/index.ts";
import { type JsonValue, MusterError } from "../../kernel/index.ts";
import { type Fields, flagOf, optionalTextOf, parseFields, parseRows, textOf } from "../answers.ts";
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
    let roles: ReadonlyMap<string, string> = new Map();
    await session.withFleet(async (fleet) => {
      // Page by page: a table may be larger than what a link carries in one piece.
      for (let after: string | undefined = ""; after !== undefined; ) {
        const page = parseFields(await fleet.query("search-page", { table, prefix, after, ...(where === undefined ? {} : { where }) }));
        const rows = page["entries"];
        if (Array.isArray(rows)) entries.push(...rows);
        after = typeof page["after"] === "string" ? page["after"] : undefined;
        session.progress(after === undefined ? "" : `${entries.length} entries read …`);
      }
      if (!session.json) roles = await rolesIn(fleet);
    });
    if (session.json) session.printJson(entries);
    else if (entries.length === 0) session.hint(`no entry of ${table} ${prefix === "" ? "is there" : `begins with ${prefix}`}`);
    else
      session.printTable(
        ["key", "state", "value", "revision", "owner"],
        parseRows(entries).map((row) => [
          session.style.bold(textOf(row, "key")),
          session.validity(flagOf(row, "valid")) + roleOf(roles, row),
          formatValue(row["value"] ?? null),
          textOf(row, "revision"),
          optionalTextOf(row, "owner"),
        ]),
      );
    return exitCode.success;
  });
};

/** What the roll says of servers that keep a state together: by "TABLE/KEY" of the server, and of the service instance. */
async function rolesIn(fleet: Fleet): Promise<ReadonlyMap<string, string>> {
  const roles = new Map<string, string>();
  const groups = await fleet.query("groups", {}).catch((thrown: unknown) => {
    // An agent of the version before knows no groups.
    if (thrown instanceof MusterError && thrown.code === "fleet/unknown-query") return [];
    throw thrown;
  });
  for (const group of parseRows(groups)) {
    const table = textOf(group, "table");
    const epoch = `epoch ${textOf(group, "epoch")}`;
    for (const member of parseRows(group["members"] ?? [])) roles.set(`${table}/${textOf(member, "server")}`, `member, ${epoch}`);
    const primary = optionalTextOf(group, "primary");
    roles.set(`${table}/${textOf(group, "synchronising")}`, `${primary === "" ? "" : "primary, "}synchronising, ${epoch}`);
    roles.set(textOf(group, "key"), primary === "" ? `no primary, ${epoch}` : `primary ${primary}, ${epoch}`);
  }
  return roles;
}

function roleOf(roles: ReadonlyMap<string, string>, row: Fields): string {
  const role = roles.get(`${textOf(row, "table")}/${textOf(row, "key")}`);
  return role === undefined ? "" : ` (${role})`;
}
