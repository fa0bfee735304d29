import { ideal, random } from "./bare.ts";
import type { Contender, Place } from "./contender.ts";
import { muster } from "./muster.ts";
import { grpc, moleculer, nats } from "./peers.ts";

/** By the word that chooses them on the command line; ours and the ideal are measured next to each other. */
export const contenders: ReadonlyMap<string, Contender> = new Map(Object.entries({ ideal, muster, random, moleculer, grpc, nats }));

export function contenderNamed(word: string | undefined): Contender {
  const contender = contenders.get(word ?? "");
  if (contender === undefined) throw new Error(`there is no contender "${word}"; there are ${[...contenders.keys()].join(", ")}`);
  return contender;
}

/** The place came through JSON from the bench's own process. */
export function parsePlace(text: string | undefined): Place {
  return JSON.parse(text ?? "") as Place;
}
