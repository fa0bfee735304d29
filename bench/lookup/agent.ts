import { createServer } from "node:net";
import { MemoryStore } from "../../src/storage/index.ts";
import { parseAddress } from "../../src/transport/index.ts";
import { serveParent } from "../bench.ts";
import { directoryOf, listenAt, nodeOf } from "../nodes.ts";

/** The child that is asked over a unix socket. Arguments: "muster" or "floor", the socket's path, how many services. */
const [kind = "", socketPath = "", servicesText = ""] = process.argv.slice(2);
const services = Number(servicesText);
const serversEach = 3;

/** An agent, with its directory in the same process, which has nothing to do while the agent is asked. */
async function serveMuster(): Promise<void> {
  const directory = await directoryOf(new MemoryStore());
  const parent = await listenAt(directory);
  for (let host = 0; host < serversEach; host++) await directory.add("host-route", `H${host}.0`, `127.0.0.1${host}`);
  for (let service = 0; service < services; service++)
    await directory.change(
      Array.from({ length: serversEach }, (_, server) => ({
        op: "add",
        table: "metadata",
        key: `svc${service}.${server}`,
        value: { host: `H${server}`, port: 10_000 + server },
      })),
    );
  const agent = nodeOf({ role: "agent", name: "H0", parents: [parseAddress(parent)], routes: ["127.0.0.10"] });
  await agent.node.start();
  await agent.node.ready();
  await listenAt(agent, socketPath);
}

/** The floor: frames (length, id, body) on a unix socket, a Map of answers that are bytes already, about 280 of JSON. */
async function serveFloor(): Promise<void> {
  const answers = new Map<string, Buffer>();
  for (let service = 0; service < services; service++) {
    const list = Array.from({ length: serversEach }, (_, server) => ({
      id: `svc${service}-${server}`,
      host: `127.0.0.1${server}`,
      port: 10_000 + server,
      meta: { zone: "a", version: "1.2.3" },
    }));
    answers.set(`svc${service}`, Buffer.from(JSON.stringify(list)));
  }
  const server = createServer((socket) => {
    let rest: Buffer | undefined;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      const out: Buffer[] = [];
      let at = 0;
      while (bytes.length - at >= 8) {
        const end = at + 8 + bytes.readUInt32LE(at);
        if (end > bytes.length) break;
        const answer = answers.get(bytes.toString("latin1", at + 8, end)) ?? Buffer.alloc(0);
        const head = Buffer.allocUnsafe(8);
        head.writeUInt32LE(answer.length, 0);
        bytes.copy(head, 4, at + 4, at + 8);
        out.push(head, answer);
        at = end;
      }
      if (out.length > 0) socket.write(Buffer.concat(out));
      rest = at < bytes.length ? bytes.subarray(at) : undefined;
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
}

const ready = kind === "floor" ? serveFloor() : serveMuster();
serveParent({ ready: () => ready });
