import { SystemClock, sleep } from "../../src/kernel/index.ts";
import { openLink } from "../../src/link/index.ts";
import { type Address, TcpTransport } from "../../src/transport/index.ts";

/** The other process of link.test.ts: method 1 echoes, 2 answers after the milliseconds in the body, 3 never answers. */
const clock = new SystemClock();
const [where = "tcp"] = process.argv.slice(2);
const address: Address = where === "tcp" ? { kind: "tcp", host: "127.0.0.1", port: 0 } : { kind: "unix", path: where };

async function answerLater(body: Uint8Array): Promise<Uint8Array> {
  await sleep(clock, Number(Buffer.from(body).toString()));
  return Buffer.from("late");
}

const listener = await new TcpTransport().listen(address, (connection) => {
  openLink({
    connection,
    clock,
    hello: { name: "peer" },
    versions: { min: 1, max: 1 },
    accept: () => ({
      call: (method, body) => {
        if (method === 2) return answerLater(body);
        return method === 1 ? body : new Promise<Uint8Array>(() => {});
      },
      message: () => {},
      close: () => {},
    }),
  }).catch(() => {});
});
process.send?.(listener.address.kind === "tcp" ? listener.address.port : 0);
process.on("disconnect", () => process.exit(0));
