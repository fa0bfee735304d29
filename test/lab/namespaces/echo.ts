import { createSocket } from "node:dgram";

/** Answers datagrams on port 7, and measures the way to others: `{ address }` is answered with milliseconds, or null after 150 ms. */
const waitMs = 150;
const socket = createSocket("udp4");
const asked = new Map<string, (tookMs: number) => void>();
let number = 0;

socket.on("message", (bytes, from) => {
  const text = bytes.toString();
  if (text.startsWith("answer ")) asked.get(text.slice("answer ".length))?.(performance.now());
  else socket.send(`answer ${text}`, from.port, from.address);
});
socket.on("error", () => undefined);
process.on("message", (address: unknown) => {
  number++;
  const name = String(number);
  const sentMs = performance.now();
  const finish = (tookMs: number | null) => {
    clearTimeout(timer);
    asked.delete(name);
    process.send?.({ address, tookMs });
  };
  const timer = setTimeout(() => finish(null), waitMs);
  asked.set(name, (nowMs) => finish(nowMs - sentMs));
  // A host without a carrier or a neighbour refuses to send at once; that is an answer that never comes.
  socket.send(name, 7, String(address), () => undefined);
});
process.on("disconnect", () => process.exit(0));
socket.bind(7, "0.0.0.0", () => process.send?.("ready"));
