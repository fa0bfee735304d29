import { addNodeOptions, nodeRunOf, untilStopped } from "../long-lived.ts";
import { parentsOf } from "../parents.ts";
import { type Verb, collect, example } from "../verb.ts";

/** A node with a parent and children: it spares the directory their number. */
export const relay: Verb = (program, bind) => {
  const command = program
    .command("relay")
    .description("Run a relay: it follows a parent and passes the roll on to its own children.")
    .option("--parent <address>", "the directory or another relay, H:P; several: the first that answers", collect)
    .option("--data <folder>", "where it will keep what must survive a restart; nothing so far");
  addNodeOptions(command).addHelpText(
    "after",
    example("muster relay --parent 10.0.0.1:7550 --listen 10.0.1.1:7550 --plaintext", "muster relay --parent 10.0.0.1:7550,10.0.0.2:7550"),
  );
  bind(command, (session) => {
    const run = { ...nodeRunOf(session), parents: parentsOf(session) };
    return untilStopped(session, (stop) => session.world.runRelay(run, stop));
  });
};
