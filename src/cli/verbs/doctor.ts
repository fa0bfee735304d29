import { parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** What is wrong with the fleet, and what to do about it. */
export const doctor: Verb = (program, bind) => {
  const command = program
    .command("doctor")
    .description(
      "Look for trouble: hosts that are gone, services without a primary, partitions that map to nothing, a detached agent. Exit 1 when callers are hurt.",
    )
    .addHelpText("after", example("muster doctor", "muster doctor --json | jq '.findings[].code'"));
  bind(command, async (session) => {
    const answer = await session.ask("doctor", {});
    const fields = parseFields(answer);
    const healthy = fields["healthy"] === true;
    if (session.json) session.printJson(answer);
    else {
      const { style } = session;
      const findings = parseRows(fields["findings"] ?? []);
      for (const finding of findings) {
        const error = textOf(finding, "severity") === "error";
        session.print(`${error ? style.red("error  ") : style.yellow("warning")}  ${textOf(finding, "message")}\n`);
        session.print(`         ${style.cyan("next:")} ${textOf(finding, "next")}\n`);
      }
      if (findings.length === 0) session.print(`${style.green("healthy:")} nothing is wrong that this node can see\n`);
    }
    return healthy ? exitCode.success : exitCode.refused;
  });
};
