import { createServer } from "node:net";
import { type Floor, connectFloor } from "../link/floor.ts";
import { type Ask, type Contender, type Place, type Work, copiesAfterMs, portOf, servers } from "./contender.ts";

const headBytes = 8;
const body = Buffer.from("null");

/** Framed TCP and nothing else: each frame goes back as it came when its work is done. */
function serveBare(port: number, work: Work): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    let rest = Buffer.alloc(0);
    socket.on("error", () => {});
    const answer = async (frame: Buffer) => {
      await work();
      socket.write(frame);
    };
    socket.on("data", (chunk) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      while (bytes.length - at >= headBytes) {
        const whole = headBytes + bytes.readUInt32LE(at);
        if (bytes.length - at < whole) break;
        void answer(bytes.subarray(at, at + whole));
        at += whole;
      }
      rest = bytes.subarray(at);
    });
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
}

function connectAll(place: Place): Promise<readonly Floor[]> {
  return Promise.all(Array.from({ length: servers }, (_, index) => connectFloor(portOf(place, index))));
}

const anyOf = () => Math.floor(Math.random() * servers);

const serve: Contender["serve"] = (place, index, work) => serveBare(portOf(place, index), work);

/** What no policy is: one server, whichever. */
export const random: Contender = {
  name: "bare TCP, random choice",
  peer: true,
  needs: "ports",
  serve,
  call: async (place) => {
    const floors = await connectAll(place);
    return () => floors[anyOf()]?.ask(body) ?? Promise.reject(new Error("there are no servers"));
  },
};

/** A client that knows this experiment: a random server, and another one each time the answer is overdue. */
export const ideal: Contender = {
  name: `ideal: bare TCP, copies after ${copiesAfterMs.join(" and ")} ms`,
  peer: true,
  needs: "ports",
  serve,
  call: async (place) => {
    const floors = await connectAll(place);
    return () => askWithCopies(floors);
  },
};

function askWithCopies(floors: readonly Floor[]): ReturnType<Ask> {
  return new Promise((resolve) => {
    const first = anyOf();
    const timers: NodeJS.Timeout[] = [];
    const answered = (answer: Buffer) => {
      for (const timer of timers) clearTimeout(timer);
      resolve(answer);
    };
    const send = (copy: number) => void floors[(first + copy) % floors.length]?.ask(body).then(answered);
    for (const [copy, afterMs] of copiesAfterMs.entries()) timers.push(setTimeout(() => send(copy + 1), afterMs));
    send(0);
  });
}
