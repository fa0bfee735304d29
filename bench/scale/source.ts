import { createServer } from "node:net";
import type { JsonValue } from "../../src/kernel/index.ts";
import { MemoryStore } from "../../src/storage/index.ts";
import { serveParent } from "../bench.ts";
import { directoryOf, listenAt } from "../nodes.ts";
import { hostCount, keyOf, smallValueOf, table, valueOf } from "./entries.ts";

/** The child that has the entries. Arguments: "muster" or "floor", how many, "small" for the entries of a million. */
const [kind = "", countText = "", size = ""] = process.argv.slice(2);
const count = Number(countText);
const operationsMax = 100;
const value = size === "small" ? smallValueOf : valueOf;

function plain(input: object): JsonValue {
  return JSON.parse(JSON.stringify(input));
}

/** A directory with its store in memory: what is measured is how its roll gets to a fresh node. */
async function serveMuster(): Promise<string> {
  const directory = await directoryOf(new MemoryStore());
  for (let host = 0; host < hostCount; host++) await directory.add("host-route", `H${host}.0`, `10.0.0.${host}`);
  for (let first = 0; first < count; first += operationsMax) {
    const length = Math.min(operationsMax, count - first);
    await directory.change(
      Array.from({ length }, (_, index) => ({ op: "add", table, key: keyOf(first + index), value: plain(value(first + index)) })),
    );
  }
  return listenAt(directory);
}

/** The floor: a frame for each entry (length, length of the key, key, value), all in one write, then the end. */
async function serveFloor(): Promise<string> {
  const frames = Array.from({ length: count }, (_, index) => {
    const key = Buffer.from(keyOf(index));
    const text = Buffer.from(JSON.stringify(value(index)));
    const head = Buffer.alloc(6);
    head.writeUInt32LE(2 + key.length + text.length, 0);
    head.writeUInt16LE(key.length, 4);
    return Buffer.concat([head, key, text]);
  });
  const all = Buffer.concat(frames);
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(all);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? String(address.port) : "";
}

const place = kind === "floor" ? serveFloor() : serveMuster();
serveParent({ place: () => place });
