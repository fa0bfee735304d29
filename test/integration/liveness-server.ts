import { createInterface } from "node:readline";
import { connect } from "../../src/index.ts";

/** A server of the liveness tests: serves one key, and does what its standard input says. Ends with it. */
const [agent = "", key = "", period = "300"] = process.argv.slice(2);

const fleet = await connect({
  agent,
  name: "liveness-server",
  telemetry: {
    log: (_level, event) => void process.stderr.write(`${event}\n`),
    count: () => {},
    observe: () => {},
    gauge: () => {},
  },
});
await fleet.serve("metadata", key, { port: 1872, maxPeriodMs: Number(period) });
process.stdout.write("serving\n");

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [verb, durationMs = "0"] = line.split(" ");
    if (verb !== "loop") return;
    const end = performance.now() + Number(durationMs);
    while (performance.now() < end);
    process.stdout.write("turns again\n");
  })
  .on("close", () => process.exit());
