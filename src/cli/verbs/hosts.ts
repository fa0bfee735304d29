import { type Fields, flagOf, optionalTextOf, parseFields, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import { type Verb, example } from "../verb.ts";

/** The machines of the fleet. */
export const hosts: Verb = (program, bind) => {
  const command = program
    .command("hosts [host]")
    .description("List the hosts with their state, their servers and the route that lookups use now.")
    .addHelpText("after", example("muster hosts", "muster hosts HOST9 --json"));
  bind(command, async (session, [host]) => {
    const answer = await session.ask("hosts", host === undefined ? {} : { host });
    const rows = parseRows(answer);
    if (session.json) session.printJson(answer);
    else if (rows.length > 0) {
      const { style } = session;
      session.printTable(
        ["host", "state", "servers", "current route", "other routes"],
        rows.map((row) => {
          const routes = parseRows(row["routes"] ?? []);
          const current = routes.find((route) => flagOf(route, "current"));
          const others = routes.filter((route) => route !== current);
          return [
            style.bold(textOf(row, "host")),
            flagOf(row, "valid") ? (stateOf(row) === "" ? style.green("there") : style.yellow(stateOf(row))) : style.red("gone"),
            textOf(row, "servers"),
            current === undefined ? style.red("none") : textOf(current, "address"),
            others
              .map((route) => (flagOf(route, "valid") ? textOf(route, "address") : style.red(`${textOf(route, "address")} (invalid)`)))
              .join(", "),
          ];
        }),
        [2],
      );
    }
    if (rows.length > 0 || host === undefined) {
      if (rows.length === 0) session.hint("no host is on the roll yet; start one: muster agent --parent H:P --host NAME --route ADDRESS");
      return exitCode.success;
    }
    session.hint(`there is no host ${host}\nnext:  muster hosts`);
    return exitCode.refused;
  });
};

/** What is known of a host that is there: "unwatched", "suspect", "draining"; empty when all is well. */
function stateOf(row: Fields): string {
  const state = row["state"] ?? null;
  return state === null ? "" : optionalTextOf(parseFields(state), "state");
}
