import { type Fields, flagOf, optionalTextOf, parseRows, textOf } from "../answers.ts";
import { partitionRowValue, slotsCount, spreadOver } from "../../tables/index.ts";
import { exitCode, usageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";
import { formatSlots, mapOf, newMapKey, writeMap } from "./partition-map.ts";

/** The service instances whose servers keep one state together. */
export const groups: Verb = (program, bind) => {
  const command = program
    .command("groups [key]")
    .description(
      "List the ordering groups: the epoch of each, who synchronises its writes, its members with their validity, how many it needs, and valid servers that are no members. KEY is a service instance, one of its servers, or TABLE/INSTANCE.",
    )
    .option("--map <service>", "instead: which group has which keys of a service whose groups share them")
    .option("--over <instances>", "with --map: make the map, its slots in equal parts over these instances, as MDS.1,MDS.2")
    .option("--table <table>", "with --map: the table of the service")
    .addHelpText(
      "after",
      example("muster groups", "muster groups MDS.1 --json", "muster groups --map MDS", "muster groups --map MDS --over MDS.1,MDS.2"),
    );
  bind(command, async (session, [key]) => {
    const service = session.options.text("map");
    if (service !== undefined) return showMap(session, service);
    if (session.options.text("over") !== undefined)
      throw usageError("--over goes with --map", "muster groups --map MDS --over MDS.1,MDS.2");
    const answer = await session.ask("groups", key === undefined ? {} : { key });
    const rows = parseRows(answer);
    if (session.json) session.printJson(answer);
    else if (rows.length > 0)
      session.printTable(
        ["group", "epoch", "synchronising", "members", "needs", "outside"],
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

async function showMap(session: Session, service: string): Promise<number> {
  const table = session.options.text("table");
  const over = session.options.list("over", { split: true });
  if (over.length > slotsCount || new Set(over).size < over.length)
    throw usageError(`a map is made over 1 to ${slotsCount} instances, each once`, "muster groups --map MDS --over MDS.1,MDS.2");
  if (over.length > 0)
    await session.write(async (fleet) => writeMap(fleet, await newMapKey(fleet, service, over, table), spreadOver(over), "absent"));
  const { row, key } = await session.withFleet((fleet) => mapOf(fleet, service, table));
  if (session.json) {
    session.printJson({ key, map: partitionRowValue(row) });
    return exitCode.success;
  }
  const instances = [...new Set([...row.runs.map(({ instance }) => instance), ...row.moves.map(({ to }) => to)])];
  const slotsOf = (instance: string) =>
    row.runs.flatMap((run) =>
      run.instance === instance ? Array.from({ length: run.last - run.first + 1 }, (_, at) => run.first + at) : [],
    );
  session.printTable(
    ["group", "slots", "has", "gets"],
    instances.map((instance) => {
      const slots = slotsOf(instance);
      const gets = row.moves.filter(({ to }) => to === instance).map(({ slot }) => slot);
      return [session.style.bold(instance), String(slots.length), formatSlots(slots), session.style.yellow(formatSlots(gets))];
    }),
    [1],
  );
  return exitCode.success;
}

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
    parseRows(row["outside"] ?? [])
      .map((one) => [textOf(one, "server"), optionalTextOf(one, "state"), optionalTextOf(one, "reason")])
      .map(([server = "", state = "", reason = ""]) => (state === "" ? server : style.yellow(`${server} (${state}: ${reason})`)))
      .join(", "),
  ];
}
