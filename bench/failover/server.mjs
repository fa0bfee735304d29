// A child: a server on the roll, of a given size, with a connection to the witness. Arguments: the library, the agent's socket,
// its key, its longest silence in ms, the witness's port, its resident memory in MB. Plain JavaScript without the bench's own
// modules: stripping types costs 30 MB, and how soon a killed process's connections end depends on its size.
import { connect as connectSocket } from "node:net";
import { setPriority } from "node:os";

const [library = "", agent = "", key = "", maxPeriodMs = "", witnessPort = "", megabytes = ""] = process.argv.slice(2);
const serviceTimeMs = 20;
const padding = [];

const handle = () => new Promise((resolve) => setTimeout(resolve, serviceTimeMs, "done"));

// Starting Node and the library costs more than all that is measured, and elsewhere it happens on other machines: it gives way here.
setPriority(5);

/** Back to usual; only an administrator may. */
function takePart() {
  try {
    setPriority(0);
  } catch {
    // It goes on giving way, which makes its own figures worse.
  }
}

/** Resolves, when the roll has it, with its resident bytes, and when it asked for it. */
async function serve() {
  const witness = connectSocket({ host: "127.0.0.1", port: Number(witnessPort) });
  await new Promise((resolve, reject) => {
    witness.once("error", reject);
    witness.once("connect", () => witness.write(`${process.pid}`, () => resolve()));
  });
  const { connect } = await import(library);
  const fleet = await connect({ agent, name: key, timeoutMs: 20_000 });
  while (process.memoryUsage.rss() < Number(megabytes) * 1e6) padding.push(Buffer.alloc(1e6, padding.length + 1));
  takePart();
  const askedMs = Number(process.hrtime.bigint()) / 1e6;
  await fleet.serve("metadata", key, { port: 0, maxPeriodMs: Number(maxPeriodMs), types: { read: { effect: "read", handle } } });
  return { askedMs, residentBytes: process.memoryUsage.rss() };
}

process.on("message", ({ id }) => {
  serve().then(
    (value) => process.send({ id, value }),
    (error) => process.send({ id, error: error.stack }),
  );
});
process.on("disconnect", () => process.exit(0));
