import { formatDurationMs } from "../../kernel/index.ts";
import { type Fields, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode, usageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { printable } from "../style.ts";
import { type Verb, collect, example } from "../verb.ts";
import { whereOf } from "../where.ts";

/** Find server. */
export const find: Verb = (program, bind) => {
  const command = program
    .command("find <table> <key>")
    .description(
      "Find a server: its host, address and port. KEY is a server, a service instance (its primary) or a service (one of its instances).",
    )
    .option("--all", "all servers that could be chosen, in order")
    .option("--partition", "KEY is a partition's key: TABLE maps it to a server")
    .option("--where <name=value>", "only servers whose attributes say so; repeatable, all must hold", collect)
    .option("--policy <policy>", "which instance of a service: round-robin, primary-first, weighted or rendezvous")
    .option("--seed <text>", "for rendezvous: equal seeds find equal servers")
    .addHelpText(
      "after",
      example(
        "muster find metadata MDS.1 --json",
        "muster find gateway GW --all --where zone=a",
        "muster find --partition metadata-partition 4711",
        'curl "http://$(muster find gateway GW --json | jq -r \'.address + ":" + (.port | tostring)\')/"',
      ),
    );
  bind(command, async (session, [table = "", key = ""]) => {
    const { options } = session;
    const all = options.flag("all");
    const partition = options.flag("partition");
    if (all && partition)
      throw usageError("--all and --partition exclude each other", "a partition has one server; its alternates are in the answer");
    const where = whereOf(session);
    const policy = options.text("policy");
    const seed = options.text("seed");
    const answer = await session.ask(partition ? "find-partition" : all ? "find-all" : "find", {
      table,
      key,
      ...(where === undefined ? {} : { where }),
      ...(policy === undefined ? {} : { policy }),
      ...(seed === undefined ? {} : { seed }),
    });
    const found = answer !== null && !(Array.isArray(answer) && answer.length === 0);
    if (session.json) session.printJson(answer);
    else if (!found) session.hint(`no server answers for ${key} in ${table}\nnext:  muster why ${key}`);
    else if (Array.isArray(answer)) printRoutes(session, parseRows(answer));
    else printFound(session, parseFields(answer));
    return found ? exitCode.success : exitCode.refused;
  });
};

function printFound(session: Session, route: Fields): void {
  const { style } = session;
  const age = route["ageMs"];
  const data = route["data"];
  const group = route["group"];
  session.print(`${style.bold(addressOf(route))}\n`);
  session.printFields([
    ["server", textOf(route, "instance")],
    ["host", textOf(route, "host")],
    ...(data === undefined ? [] : [["data", printable(JSON.stringify(data))] as const]),
    ...(group === undefined ? [] : [["group", groupWords(parseFields(group))] as const]),
    ["revision", `${textOf(route, "revision")}${typeof age === "number" ? style.dim(` (known as of ${formatDurationMs(age)} ago)`) : ""}`],
  ]);
  const alternates = parseRows(route["alternates"] ?? []);
  if (alternates.length > 0) session.print(`${style.dim("else")}\n`);
  for (const other of alternates) session.print(`  ${addressOf(other)}  ${textOf(other, "instance")} on ${textOf(other, "host")}\n`);
}

function groupWords(group: Fields): string {
  return `epoch ${textOf(group, "epoch")}, synchronised by ${textOf(group, "synchronising")}`;
}

function printRoutes(session: Session, routes: readonly Fields[]): void {
  session.printTable(
    ["address", "server", "host", "data", "revision"],
    routes.map((route) => [
      session.style.bold(addressOf(route)),
      textOf(route, "instance"),
      textOf(route, "host"),
      route["data"] === undefined ? "" : printable(JSON.stringify(route["data"])),
      textOf(route, "revision"),
    ]),
  );
}

function addressOf(route: Fields): string {
  const address = textOf(route, "address");
  return `${address.includes(":") ? `[${address}]` : address}:${textOf(route, "port")}`;
}
