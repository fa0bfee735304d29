import type { Contender, Place } from "./contender.ts";
import { etcd } from "./etcd.ts";
import { grpc } from "./grpc.ts";
import { haproxy } from "./haproxy.ts";
import { moleculer } from "./moleculer.ts";
import { muster } from "./muster.ts";
import { nats } from "./nats.ts";
import { plain } from "./plain.ts";

/** By the word that chooses them on the command line. */
export const contenders: ReadonlyMap<string, Contender> = new Map(
  Object.entries({ muster, moleculer, haproxy, grpc, nats, etcd, undici: plain }),
);

export function contenderNamed(word: string | undefined): Contender {
  const contender = contenders.get(word ?? "");
  if (contender === undefined) throw new Error(`there is no contender "${word}"; there are ${[...contenders.keys()].join(", ")}`);
  return contender;
}

/** The place came through JSON from the bench's own process. */
export function parsePlace(text: string | undefined): Place {
  return JSON.parse(text ?? "") as Place;
}
