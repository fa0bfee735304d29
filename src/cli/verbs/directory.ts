import type { Verb } from "../verb.ts";
import { collect, example } from "../verb.ts";
import { addNodeOptions, attributesOf, hostOf, nodeRunOf, untilStopped } from "../long-lived.ts";
import { usageError } from "../errors.ts";

/** The node that owns the order. */
export const directory: Verb = (program, bind) => {
  const command = program
    .command("directory")
    .description("Run the directory: the node that orders all changes and keeps them. With --host it is that host's agent too.")
    .option("--data <folder>", "where it keeps the roll (default ./.muster/data; also MUSTER_DATA)")
    .option("--store <store>", "lmdb (default) or memory; etcd is not there yet")
    .option("--peer <address>", "another directory of the fleet; not there yet", collect)
    .option("--host <name>", "the host that it is the agent of")
    .option("--route <address>", "a network address of that host, the preferred one first; repeatable", collect)
    .option("--attribute <name=value>", "an attribute of that host's row, such as zone=a; repeatable", collect)
    .option("--mapping <table=mapping>", "the mapping of a built-in partition table of a new fleet; repeatable", collect);
  addNodeOptions(command).addHelpText(
    "after",
    example(
      "muster directory --data ./data",
      "muster directory --data ./data --host HOST1 --route 10.0.0.1 --listen 10.0.0.1:7550 --plaintext",
      "muster directory --data ./data --mapping metadata-partition=modulus:6",
    ),
  );
  bind(command, (session) => {
    const { options } = session;
    const host = options.text("host");
    const routes = options.list("route");
    if (host === undefined && routes.length > 0) throw usageError("--route needs the host that it leads to", "add --host NAME");
    const run = {
      ...nodeRunOf(session),
      data: options.text("data") ?? ".muster/data",
      store: options.text("store") ?? "lmdb",
      peers: options.list("peer", { split: true }),
      ...(host === undefined ? { routes } : hostOf(host, routes)),
      attributes: attributesOf(session),
      mappings: options.pairs("mapping"),
    };
    return untilStopped(session, (stop) => session.world.runDirectory(run, stop));
  });
};
