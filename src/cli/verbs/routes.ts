import { flagOf, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** The table of host routes, as the lookups use it. */
export const routes: Verb = (program, bind) => {
  const command = program
    .command("routes")
    .description("List every network route of every host: whether it is valid, and which one is current.")
    .addHelpText("after", example("muster routes", "muster routes --json"));
  bind(command, async (session) => {
    const rows = parseRows(await session.ask("hosts", {})).flatMap((host) =>
      parseRows(host["routes"] ?? []).map((route) => ({
        route: textOf(route, "route"),
        host: textOf(host, "host"),
        address: textOf(route, "address"),
        valid: flagOf(route, "valid"),
        current: flagOf(route, "current"),
        hostValid: flagOf(host, "valid"),
      })),
    );
    if (session.json) session.printJson(rows);
    else {
      const { style } = session;
      session.printTable(
        ["route", "address", "state", "used"],
        rows.map(({ route, address, valid, current, hostValid }) => [
          style.bold(route),
          address,
          hostValid ? session.validity(valid) : style.red("host gone"),
          current ? style.cyan("current") : "",
        ]),
      );
    }
    return exitCode.success;
  });
};
