import { parseCheck } from "../../checks/index.ts";
import type { Fleet, Operation } from "../../fleet/index.ts";
import { type JsonValue, formatRevision } from "../../kernel/index.ts";
import { isRouteValue } from "../../tables/index.ts";
import { optionalTextOf, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode, usageError } from "../errors.ts";
import { type Verb, example } from "../verb.ts";
import { parseCommandValue } from "../value.ts";

/** A standing entry, with or without a check. */
export const add: Verb = (program, bind) => {
  const command = program
    .command("add <table> <key> <value...>")
    .description(
      "Add or change an entry. VALUE is HOST:PORT, optionally followed by JSON, or JSON, or a text. The entry outlives this command.",
    )
    .option("--invalid", "add it as invalid")
    .option(
      "--check <check>",
      "valid only while it answers: tcp, http:/health, http://H:P/health or a command; run by the agent of its host",
    )
    .option("--every <duration>", "how often it is checked (default 1s)")
    .addHelpText(
      "after",
      example(
        "muster add gateway GW.3 HOST3:8080",
        `muster add gateway GW.3 'HOST3:8080 {"zone":"a"}'`,
        "muster add metadata-partition 6 MDS.2",
        "muster add gateway GW.4 HOST4:80 --check http:/health --every 2s",
      ),
    );
  bind(command, async (session, [table = "", key = "", ...words]) => {
    const value = parseCommandValue(words.join(" "));
    const check = session.options.text("check");
    const everyMs = session.options.durationMs("every") ?? 1000;
    const valid = !session.options.flag("invalid") && check === undefined;
    if (check !== undefined) parseCheck(check, isRouteValue(value) ? { host: value.host, port: value.port } : undefined);
    const revision = await session.write(async (fleet) => {
      if (check === undefined) return fleet.add(table, key, value, { valid });
      return fleet.change([{ op: "add", table, key, value, valid }, await checkRow(fleet, { table, key, value, check, everyMs })]);
    });
    const { style } = session;
    if (session.json) session.printJson({ table, key, revision: formatRevision(revision) });
    else
      session.print(
        `added ${style.bold(`${table}/${key}`)} at ${formatRevision(revision)}${check === undefined ? "" : `; valid while ${check} answers`}\n`,
      );
    return exitCode.success;
  });
};

interface Checked {
  readonly table: string;
  readonly key: string;
  readonly value: JsonValue;
  readonly check: string;
  readonly everyMs: number;
}

/** The row that tells the agent of the entry's host to check it. */
async function checkRow(fleet: Fleet, { table, key, value, check, everyMs }: Checked): Promise<Operation> {
  // A row of `checks` names the table by its plain name, whatever it was called here.
  const known = parseRows(await fleet.query("tables", {})).find(
    (row) => textOf(row, "name") === table || optionalTextOf(row, "symbol") === table,
  );
  const name = known === undefined ? table : textOf(known, "name");
  const host = isRouteValue(value) ? value.host : optionalTextOf(parseFields(await fleet.query("status", {})), "host");
  if (host === "")
    throw usageError("it is not known which host is to run the check", "give a value of the form HOST:PORT, or ask an agent");
  return { op: "add", table: "checks", key: `${name}/${key}`, value: { table: name, key, check, everyMs, host } };
}
