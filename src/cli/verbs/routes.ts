import { isRecord } from "../../kernel/index.ts";
import { type Fields, flagOf, parseRows, textOf } from "../answers.ts";
import { exitCode } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";

/** The table of host routes, as the lookups use it, and what the node that is asked knows of them by its own probes. */
export const routes: Verb = (program, bind) => {
  const command = program
    .command("routes")
    .description(
      "List every network route of every host: whether it is valid, and which one is current; and what the probes of the node that is asked say of the routes around it (the directory and relays: of their children; an agent: to its parent).",
    )
    .addHelpText("after", example("muster routes", "muster routes --agent 10.0.0.1:7550", "muster routes --json"));
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
    const asked = await session.ask("reach", {});
    const probes = parseRows(asked);
    if (session.json) {
      const known = Array.isArray(asked) ? asked : [];
      session.printJson(
        rows.map((row) => ({ ...row, probes: known.filter((probe) => isRecord(probe) && probe["address"] === row.address) })),
      );
    } else {
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
      if (probes.length > 0) {
        session.print("\n");
        session.printTable(
          ["from", "to", "address", "probes", "heard", "missed"],
          probes.map((probe) => probeCells(session, probe)),
        );
      }
    }
    return exitCode.success;
  });
};

function probeCells({ style }: Session, probe: Fields): readonly string[] {
  const state = textOf(probe, "state");
  const heardMs = probe["lastHeardMs"];
  const note = typeof probe["note"] === "string" ? ` (${probe["note"]})` : "";
  const colour = state === "heard" ? style.green : state === "unknown" ? style.dim : style.red;
  return [
    textOf(probe, "from"),
    textOf(probe, "to"),
    textOf(probe, "address"),
    colour(state) + note,
    typeof heardMs === "number" ? `${heardMs} ms ago` : "",
    typeof probe["lossPercent"] === "number" ? `${probe["lossPercent"]} %` : "",
  ];
}
