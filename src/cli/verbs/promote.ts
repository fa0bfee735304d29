import type { Fleet } from "../../fleet/index.ts";
import { MusterError } from "../../kernel/index.ts";
import { anyReplica, groupRowValue, groupsTable, membersOf } from "../../tables/index.ts";
import { type Fields, flagOf, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** Gives up what only lost copies of a group's state held. */
export const promote: Verb = (program, bind) => {
  const command = program
    .command("promote <key>")
    .description(
      "When the data of all members of an ordering group is lost for good: make one valid server the only member of the next epoch, with whatever it holds. KEY is the service instance, or the server to take. Writes that only the lost copies held are gone, although they were answered.",
    )
    .option("--accept-loss", "yes, these writes are to be given up")
    .option("--table <table>", "the table of KEY, when groups of several tables have it")
    .addHelpText("after", example("muster groups MDS.1", "muster promote MDS.1 --accept-loss", "muster promote MDS.1.2 --accept-loss"));
  bind(command, async (session, [key = ""]) => {
    const table = session.options.text("table");
    const accepted = session.options.flag("acceptLoss");
    const { group, server } = await session.write(async (fleet) => {
      const known = await groupOf(fleet, key, table);
      const chosen = await serverFor(fleet, known, key);
      if (!accepted) throw notAccepted(known, chosen, key);
      await fleet.change(
        [
          {
            op: "add",
            table: groupsTable,
            key: textOf(known, "key"),
            value: groupRowValue({
              epoch: epochOf(known) + 1,
              members: [{ server: chosen, replica: anyReplica }],
              synchronising: chosen,
              copiesMin: Number(textOf(known, "copiesMin")),
            }),
          },
        ],
        { ifRevision: [{ table: groupsTable, key: textOf(known, "key"), revision: textOf(known, "revision") }] },
      );
      return { group: known, server: chosen };
    });
    const epoch = epochOf(group) + 1;
    const givenUp = serversOf(group).filter((member) => member !== server);
    if (session.json) session.printJson({ key: textOf(group, "key"), epoch, synchronising: server, givenUp });
    else {
      const { style } = session;
      session.print(`${style.bold(server)} alone is ${style.bold(textOf(group, "key"))} in epoch ${epoch}, with whatever it holds\n`);
      const copiesMin = Number(textOf(group, "copiesMin"));
      if (copiesMin > 1) session.hint(`writes are refused until ${copiesMin} members are there; others join by themselves`);
    }
    return exitCode.success;
  });
};

async function groupOf(fleet: Fleet, key: string, table: string | undefined): Promise<Fields> {
  const all = parseRows(await fleet.query("groups", { key }));
  const [one, ...others] = table === undefined ? all : all.filter((row) => textOf(row, "table") === table);
  if (one === undefined)
    throw new MusterError("cli/no-group", `${key} has no ordering group, so its primary needs no promotion`, {
      next: `see \`muster groups\` and \`muster why ${key}\``,
    });
  if (others.length > 0)
    throw new MusterError("cli/ambiguous-group", `groups of several tables have ${key}`, {
      next: `say which: --table ${textOf(one, "table")}`,
    });
  return one;
}

/** The server that was named; else the synchronising one, another member, or another server of the instance: the first that is valid. */
async function serverFor(fleet: Fleet, group: Fields, key: string): Promise<string> {
  const [table, instance] = [textOf(group, "table"), textOf(group, "instance")];
  const row = await fleet.query("get", { table, key: instance });
  const listed = row === null ? [] : (membersOf(parseFields(row)["value"] ?? null) ?? []);
  const named = key === instance || key === textOf(group, "key") ? undefined : key;
  const candidates = named === undefined ? [textOf(group, "synchronising"), ...serversOf(group), ...listed] : [named];
  for (const server of candidates) {
    const entry = await fleet.query("get", { table, key: server });
    if (entry !== null && flagOf(parseFields(entry), "valid")) return server;
  }
  throw new MusterError("cli/no-valid-server", named === undefined ? `no server of ${instance} is valid` : `${named} is not valid`, {
    next: `start one: muster search ${table} ${instance}.`,
  });
}

function notAccepted(group: Fields, server: string, key: string): MusterError {
  const held = parseRows(group["members"] ?? []).map(
    (member) => `${textOf(member, "server")} (${flagOf(member, "valid") ? "valid" : "invalid"})`,
  );
  return new MusterError(
    "cli/loss-not-accepted",
    `in epoch ${epochOf(group)} the state of ${textOf(group, "instance")} is held by ${held.join(", ")}; ${server} would go on with what it has, and writes that it lacks would be lost although they were answered`,
    { next: `start these members again with their data; only if it is lost for good: muster promote ${key} --accept-loss` },
  );
}

function serversOf(group: Fields): readonly string[] {
  return parseRows(group["members"] ?? []).map((member) => textOf(member, "server"));
}

function epochOf(group: Fields): number {
  return Number(textOf(group, "epoch"));
}
