import { flagOf, optionalTextOf, parseFields, parseRows, textOf, textsOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** Why a key is in the state that it is in. */
export const why: Verb = (program, bind) => {
  const command = program
    .command("why <key>")
    .description(
      "Explain the state of a key: valid or not and why, who holds it, who is primary, over which route it is reached, what to do next.",
    )
    .option("--table <table>", "look in this table only")
    .addHelpText("after", example("muster why MDS.1", "muster why HOST9", "muster why MDS.1.1 --table metadata --json"));
  bind(command, async (session, [key = ""]) => {
    const table = session.options.text("table");
    const answer = await session.ask("why", { key, ...(table === undefined ? {} : { table }) });
    const fields = parseFields(answer);
    const found = flagOf(fields, "found");
    if (session.json) session.printJson(answer);
    else if (found) {
      const { style } = session;
      for (const finding of parseRows(fields["findings"] ?? [])) {
        const state = flagOf(finding, "usable") ? style.green("usable") : style.red("not usable");
        session.print(`${style.bold(`${textOf(finding, "table")}/${key}`)}  ${textOf(finding, "shape")}, ${state}\n`);
        for (const reason of textsOf(finding, "because")) session.print(`  ${style.dim("-")} ${reason}\n`);
        const next = optionalTextOf(finding, "next");
        if (next !== "") session.print(`  ${style.cyan("next:")} ${next}\n`);
      }
    } else {
      const similar = textsOf(fields, "similar");
      session.hint(`nothing on the roll is called ${key}`);
      session.hint(similar.length === 0 ? "next:  muster tables, then muster search TABLE" : `next:  did you mean ${similar.join(", ")}?`);
    }
    return found ? exitCode.success : exitCode.refused;
  });
};
