import type { Fleet } from "../../fleet/index.ts";
import { type JsonValue, MusterError, type Revision, formatDurationMs, formatRevision } from "../../kernel/index.ts";
import {
  type DeclaredType,
  operatorRow,
  parseDeclaration,
  parseDeclarationKey,
  readDeclaration,
  requestTypesTable,
  rowWithoutOperator,
} from "../../requests/index.ts";
import { type Fields, flagOf, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode, usageError } from "../errors.ts";
import { formatEffect, formatServers } from "../format-type.ts";
import type { Session } from "../session.ts";
import { parseJsonOption } from "../value.ts";
import { type Verb, example } from "../verb.ts";

/** What takes an option back to what the servers say, or to nothing. */
const defaultWord = "default";
const settleMsDefault = 5000;

/** What requests do, type by type, and who answers them. */
export const types: Verb = (program, bind) => {
  const group = program
    .command("types [service]")
    .description(
      "List the types of requests: what asking twice would do, the servers that answer, how many are asked at a time, what copies may cost, and who says so. A type that is not listed is a write.",
    )
    .addHelpText("after", example("muster types", "muster types MDS --json"));
  bind(group, list);
  const set = group
    .command("set <type>")
    .usage("<SERVICE/TYPE> [options]")
    .description(
      "Say by hand what a type does and who answers it; options that are left out stay as they are. Servers that start do not change it. Ends when every attached node knows: from then on nobody goes by what was said before.",
    )
    .option(
      "--effect <effect>",
      'read, repeatable, write, or a rule over the JSON body: {"when":{"path":"op","in":["put"]},"effect":"write","else":"read"}',
    )
    .option("--subset <members>", "the servers that answer: instances and hosts with commas between, or attributes as zone=a")
    .option("--copies <copies>", "how many servers a read is sent to: tied, all or none")
    .option("--budget <share>", "what copies and re-sends may add to the requests, as a share: 0 to 1")
    .option("--ordering-key <path>", "where in the JSON body stands what writes are ordered by")
    .addHelpText(
      "after",
      example(
        "muster types set MDS/stat --effect read --subset MDS.1.1,HOST2 --copies all",
        "muster types set MDS/stat --subset zone=a",
        `muster types set MDS/stat --subset ${defaultWord}      # all servers again`,
      ),
    );
  bind(set, (session, [name = ""]) => change(session, name, (row) => operatorRow(declaredBy(session, name, row), servedBehind(row))));
  const unset = group
    .command("unset <type>")
    .usage("<SERVICE/TYPE> [options]")
    .description("Take back what was set by hand: the servers' own word counts again; without any the type is a write.")
    .addHelpText("after", example("muster types unset MDS/stat"));
  bind(unset, (session, [name = ""]) =>
    change(session, name, (row) => {
      if (row === undefined || rowWithoutOperator(row) === row) throw notSet(name);
      return rowWithoutOperator(row);
    }),
  );
};

async function list(session: Session, [service]: readonly string[]): Promise<number> {
  const answer = await session.ask("search", { table: requestTypesTable, prefix: service === undefined ? "" : `${service}/` });
  const rows = parseRows(answer).flatMap((row) => typeOf(row) ?? []);
  if (session.json) session.printJson(rows.map((one) => plain({ ...one, row: undefined })));
  else if (rows.length > 0)
    session.printTable(
      ["type", "effect", "servers", "copies", "budget", "said by"],
      rows.map(({ row, service: of, type, effect, subset, copies, budget, by }) => [
        `${session.style.bold(`${of}/${type}`)}${flagOf(row, "valid") ? "" : session.style.red(" (invalid)")}`,
        formatEffect(effect),
        formatServers(subset),
        copies ?? "",
        budget === undefined ? "" : String(budget),
        by === "operator" ? session.style.yellow("an operator") : "its servers",
      ]),
    );
  if (rows.length > 0 || service === undefined) {
    if (rows.length === 0) session.hint("nobody has declared a type of requests");
    return exitCode.success;
  }
  session.hint(
    `no type of ${service} is declared, so all of its requests are writes\nnext:  muster types, or muster search metadata ${service}`,
  );
  return exitCode.refused;
}

interface ListedType extends DeclaredType {
  readonly service: string;
  readonly type: string;
  readonly by: "operator" | "servers";
  readonly revision: string;
  readonly row: Fields;
}

function typeOf(row: Fields): ListedType | undefined {
  const key = textOf(row, "key");
  const slash = key.indexOf("/");
  if (slash < 1) return undefined;
  const type = key.slice(slash + 1);
  const { effect, rule, byOperator, ...rest } = readDeclaration(type, row["value"] ?? null);
  const by = byOperator === true ? "operator" : "servers";
  return { service: key.slice(0, slash), type, effect: rule ?? effect, ...rest, by, revision: textOf(row, "revision"), row };
}

/** Replaces the row by what `next` makes of it, unless somebody else was faster, and waits until everybody knows. */
async function change(session: Session, name: string, next: (row: JsonValue | undefined) => JsonValue | undefined): Promise<number> {
  parseDeclarationKey(name);
  const { row, revision, detached } = await session.write(async (fleet) => {
    const known = await fleet.query("get", { table: requestTypesTable, key: name });
    const entry = known === null ? undefined : parseFields(known);
    const value = next(entry === undefined ? undefined : (entry["value"] ?? null));
    const place = { table: requestTypesTable, key: name };
    const operation = value === undefined ? ({ op: "delete", ...place } as const) : ({ op: "add", ...place, value, valid: true } as const);
    const changed = await fleet.change([operation], {
      ifRevision: [{ ...place, revision: entry === undefined ? "absent" : textOf(entry, "revision") }],
    });
    return { row: value, revision: changed, detached: await settled(session, fleet, name, changed) };
  });
  if (session.json) {
    session.printJson({ type: name, declared: row ?? null, revision: formatRevision(revision), detached });
    return exitCode.success;
  }
  const { bold } = session.style;
  const { type } = parseDeclarationKey(name);
  const said = row === undefined ? undefined : readDeclaration(type, row);
  if (said === undefined) session.print(`nobody says anything of ${bold(name)} any more: it is a write\n`);
  else session.print(`${bold(name)}: ${formatEffect(said.rule ?? said.effect)}; answered by ${formatServers(said.subset)}\n`);
  session.hint(
    detached === 0
      ? "every node knows"
      : `${detached} detached node${detached === 1 ? "" : "s"} will hear of it when they are back; all others know`,
  );
  return exitCode.success;
}

/** A type that was a write is safe to repeat only once nobody takes it for one any more. */
async function settled(session: Session, fleet: Fleet, name: string, revision: Revision): Promise<number> {
  const limitMs = (session.options.durationMs("timeout") ?? settleMsDefault / 0.9) * 0.9;
  const limit = new AbortController();
  const timer = session.world.clock.schedule(limitMs, () => limit.abort());
  try {
    return (await fleet.settled(revision, { signal: limit.signal })).detached;
  } catch (cause) {
    throw new MusterError("cli/not-settled", `${name} is set, but not every node has confirmed it within ${formatDurationMs(limitMs)}`, {
      effect: "done",
      next: "see `muster doctor` for nodes that left a moment ago, then set it again: that only waits",
      cause,
    });
  } finally {
    timer.cancel();
  }
}

function declaredBy({ options }: Session, name: string, row: JsonValue | undefined): DeclaredType {
  const { type } = parseDeclarationKey(name);
  const served = servedBehind(row);
  const given: Readonly<Record<string, JsonValue | undefined>> = {
    effect: effectGiven(options.text("effect")),
    subset: subsetGiven(options.list("subset", { split: true })),
    copies: options.text("copies"),
    budget: budgetGiven(options.text("budget")),
    orderingKey: options.text("orderingKey"),
  };
  const before: Fields = row === undefined ? {} : fieldsOf(type, row);
  const own: Fields = served === undefined ? {} : fieldsOf(type, served);
  const after: Record<string, JsonValue | undefined> = { ...before };
  for (const [field, value] of Object.entries(given)) if (value !== undefined) after[field] = value === defaultWord ? own[field] : value;
  if (after["effect"] === undefined) throw usageError(`nobody has said yet what ${name} does`, "add --effect read, repeatable or write");
  return parseDeclaration(type, Object.fromEntries(Object.entries(after).filter(([, value]) => value !== undefined)));
}

/** What can be read of a row. */
function fieldsOf(type: string, row: JsonValue): Fields {
  const { effect, rule, subset, copies, budget, orderingKey } = readDeclaration(type, row);
  return parseFields(plain({ effect: rule ?? effect, subset, copies, budget, orderingKey }));
}

/** As JSON, without the fields that are undefined. */
function plain(value: object): JsonValue {
  const json: JsonValue = JSON.parse(JSON.stringify(value));
  return json;
}

function servedBehind(row: JsonValue | undefined): JsonValue | undefined {
  return row === undefined ? undefined : rowWithoutOperator(row);
}

function effectGiven(text: string | undefined): JsonValue | undefined {
  return text?.trimStart().startsWith("{") === true ? parseJsonOption("--effect", text) : text;
}

function subsetGiven(items: readonly string[]): JsonValue | undefined {
  if (items.length === 0) return undefined;
  if (items.length === 1 && items[0] === defaultWord) return defaultWord;
  const pairs = items.filter((item) => item.includes("="));
  if (pairs.length === 0) return items;
  if (pairs.length < items.length)
    throw usageError("--subset names servers and attributes", "write either MDS.1.1,HOST2 or zone=a,disk=fast");
  return { where: Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)])) };
}

function budgetGiven(text: string | undefined): JsonValue | undefined {
  if (text === undefined || text === defaultWord) return text;
  if (/^(0|1|0?\.\d+|1\.0+)$/.test(text)) return Number(text);
  throw usageError(`--budget ${text} is not a share from 0 to 1`, "for example --budget 0.1: one copy for ten requests");
}

function notSet(name: string): MusterError {
  return new MusterError("cli/not-set", `nothing about ${name} is set by hand`, {
    next: "see `muster types`; what servers say goes with `muster delete request-types SERVICE/TYPE`",
  });
}
