import { connectFloor, serveFloor } from "../link/floor.ts";
import { type Asking, type Peer, peers } from "../link/peers.ts";
import { connectDatagrams, serveDatagrams } from "./datagrams.ts";
import { connectMuster, serveMuster } from "./muster.ts";

export type { Asking } from "../link/peers.ts";

export const body: Buffer = Buffer.alloc(100, "x");

/** What a caller measures; crosses to it as a message. */
export interface LoopPlan {
  readonly concurrency: number;
  readonly warmMs: number;
  readonly ms: number;
  /** Whose processor time counts too. */
  readonly pids: readonly number[];
}

/** An orderly end, at which Node writes profiles, after the answer has gone out. */
export function endSoon(): void {
  setTimeout(() => process.exit(0), 100);
}

/** One way to ask an echo server in another process. Both sides are given the same words. */
export interface Way {
  readonly name: string;
  /** False for ours. */
  readonly peer: boolean;
  /** The peer of the bench `link` that it is; it gets ports, and a broker when it needs one. */
  readonly of?: Peer;
  /** `begun` is called for each request that begins, where the count matters. */
  serve(words: readonly string[], begun: () => void): Promise<void>;
  connect(words: readonly string[], concurrency: number): Promise<Asking>;
}

const muster: Way = { name: "fleet.request", peer: false, serve: serveMuster, connect: connectMuster };

const floor: Way = {
  name: "floor: bare framed TCP, writes joined",
  peer: true,
  serve: ([port]) => serveFloor(Number(port)),
  connect: async ([port]) => {
    const { ask, close } = await connectFloor(Number(port));
    return { ask: async () => (await ask(body)).length, close };
  },
};

/** To several servers at once; not one of those that `c = 64` compares. */
const datagrams: Way = {
  name: "datagrams to a multicast group",
  peer: true,
  serve: ([port], begun) => serveDatagrams(Number(port), begun),
  connect: ([port]) => connectDatagrams(Number(port), body),
};

/** The same over connections: what a network without multicast leaves. */
const frames: Way = {
  name: "bare framed TCP to each of them",
  peer: true,
  serve: ([port]) => serveFloor(Number(port)),
  connect: async (ports) => {
    const floors = await Promise.all(ports.map((port) => connectFloor(Number(port))));
    return {
      ask: async () => (await Promise.race(floors.map(({ ask }) => ask(body)))).length,
      close: () => floors.forEach(({ close }) => close()),
    };
  },
};

const toAll: ReadonlyMap<string, Way> = new Map([
  ["datagrams", datagrams],
  ["frames", frames],
]);

function wayOf(kind: string): Way {
  const of = peers.find((peer) => peer.kind === kind);
  if (of === undefined) throw new Error(`the bench "link" has no peer "${kind}"`);
  return {
    name: of.name,
    peer: true,
    of,
    serve: (words) => of.serve(words.map(Number)),
    connect: (words, concurrency) => of.connect(words.map(Number), body, concurrency),
  };
}

/** By the word that chooses them on the command line. */
export const ways: ReadonlyMap<string, Way> = new Map([
  ["muster", muster],
  ["floor", floor],
  ...["moleculer", "undici", "nats", "grpc"].map((kind): [string, Way] => [kind, wayOf(kind)]),
]);

export function wayNamed(word: string | undefined): Way {
  const way = ways.get(word ?? "") ?? toAll.get(word ?? "");
  if (way === undefined) throw new Error(`there is no way "${word}" to ask; there are ${[...ways.keys()].join(", ")}`);
  return way;
}
