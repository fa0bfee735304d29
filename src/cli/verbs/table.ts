import { formatRevision } from "../../kernel/index.ts";
import { exitCode } from "../errors.ts";
import { type Verb, collect, example } from "../verb.ts";

/** Tables are entries of the table `tables`. */
export const table: Verb = (program, bind) => {
  const group = program.command("table").description("Add or remove a table; no node needs to be told, all learn of it.");
  const add = group
    .command("add <name>")
    .description("Add a table. With --mapping it is a partition table: its values are keys of the table of its servers.")
    .option("--symbol <symbol>", "a symbolic name besides the plain one, e.g. DSD_MTID_CACHE")
    .option("--mapping <mapping>", "how a key that it does not hold is mapped: modulus:N or rendezvous")
    .option("--servers <table>", "for a partition table: the table that its values are keys of (default NAME without -partition)")
    .option("--index <attribute>", "an attribute that --where selects by often; repeatable", collect)
    .addHelpText(
      "after",
      example(
        "muster table add cache --symbol DSD_MTID_CACHE --index zone",
        "muster table add cache-partition --mapping rendezvous --servers cache",
      ),
    );
  bind(add, async (session, [name = ""]) => {
    const { options } = session;
    const symbol = options.text("symbol");
    const mapping = options.text("mapping");
    const servers = options.text("servers");
    const index = options.list("index", { split: true });
    const revision = await session.write((fleet) =>
      fleet.addTable(name, {
        ...(symbol === undefined ? {} : { symbol }),
        ...(mapping === undefined ? {} : { mapping }),
        ...(servers === undefined ? {} : { servers }),
        ...(index.length === 0 ? {} : { index }),
      }),
    );
    if (session.json) session.printJson({ table: name, revision: formatRevision(revision) });
    else session.print(`added the table ${session.style.bold(name)} at ${formatRevision(revision)}\n`);
    return exitCode.success;
  });
  const remove = group
    .command("remove <name>")
    .description("Remove a table that has no entries. Built-in tables stay.")
    .addHelpText("after", example("muster table remove cache"));
  bind(remove, async (session, [name = ""]) => {
    const revision = await session.write((fleet) => fleet.removeTable(name));
    if (session.json) session.printJson({ table: name, revision: formatRevision(revision) });
    else session.print(`removed the table ${session.style.bold(name)} at ${formatRevision(revision)}\n`);
    return exitCode.success;
  });
};
