import { logOptionsOf, untilStopped } from "../long-lived.ts";
import { type Verb, example } from "../verb.ts";

/** A whole fleet on one machine. */
export const up: Verb = (program, bind) => {
  const command = program
    .command("up [fleet]")
    .description(
      "Start a whole fleet on this machine from a YAML file, and follow its events until Ctrl-C. Without a file: the bundled filestore.",
    )
    .option("--data <folder>", "where the fleet keeps everything (default below ./.muster/; also MUSTER_DATA)")
    .option("--http <address>", "where its first HTTP door listens")
    .addHelpText("after", example("muster up", "muster up fleet.yaml --data ./fleet-data"));
  bind(command, (session, [file]) => {
    const { options } = session;
    const data = options.text("data");
    const http = options.text("http");
    const run = {
      ...(file === undefined ? {} : { file }),
      ...(data === undefined ? {} : { data }),
      ...(http === undefined ? {} : { http }),
      ...logOptionsOf(session),
    };
    return untilStopped(session, (stop) => session.world.runUp(run, stop));
  });
};
