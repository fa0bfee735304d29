import { usageError } from "../errors.ts";
import { addNodeOptions, attributesOf, hostOf, nodeRunOf, untilStopped } from "../long-lived.ts";
import { parentsOf } from "../parents.ts";
import { type Verb, collect, example } from "../verb.ts";

/** One a host: its programs' door to the roll. */
export const agent: Verb = (program, bind) => {
  const command = program
    .command("agent")
    .description("Run this host's agent: a live copy of the roll for its programs, and their voice towards the directory.")
    .option("--parent <address>", "the directory or a relay, H:P; several: the first that answers", collect)
    .option("--host <name>", "how this host is called on the roll")
    .option("--route <address>", "a network address of this host, the preferred one first; repeatable", collect)
    .option("--attribute <name=value>", "an attribute of this host's row, such as zone=a: reads stay in their zone; repeatable", collect)
    .option("--data <folder>", "where it will keep what must survive a restart; nothing so far");
  addNodeOptions(command).addHelpText(
    "after",
    example(
      "muster agent --parent 10.0.0.1:7550 --host HOST9 --route 10.0.0.9 --plaintext",
      "muster agent --parent 10.0.0.1:7550 --host HOST9 --route 10.0.0.9 --route 10.1.0.9 --socket /run/muster.sock",
    ),
  );
  bind(command, (session) => {
    const { options } = session;
    const routes = options.list("route");
    if (routes.length === 0)
      throw usageError("--route is missing", "name the address under which others reach this host: --route 10.0.0.9");
    const host = hostOf(options.required("host", "HOST9"), routes);
    const run = { ...nodeRunOf(session), parents: parentsOf(session), ...host, attributes: attributesOf(session) };
    return untilStopped(session, (stop) => session.world.runAgent(run, stop));
  });
};
