import { createHash } from "node:crypto";
import { StoreError } from "./errors.ts";

/** Fixed for the life of a store: names are spread over the partitions by their hash, and the roll says who serves which. */
export const partitionCount = 6;

/** Which partition a file's metadata, or its bytes, belong to. The two are independent of each other. */
export function partitionOf(kind: "metadata" | "bitfile", name: string): number {
  return createHash("sha256").update(`${kind}\n${name}`).digest().readUInt32BE(0) % partitionCount;
}

/** A bitfile server that is on the roll and valid now. */
export interface Candidate {
  readonly key: string;
  readonly host: string;
}

export interface Avoid {
  readonly keys: ReadonlySet<string>;
  readonly hosts: ReadonlySet<string>;
}

/**
 * The server for one copy: the preferred one while it is eligible, otherwise the first by rendezvous, so that every
 * gateway comes to the same answer and the loss of a server moves only what would have gone there.
 */
export function chooseServer(candidates: readonly Candidate[], seed: string, avoid: Avoid, preferred?: string): Candidate | undefined {
  const eligible = candidates.filter(({ key, host }) => !avoid.keys.has(key) && !avoid.hosts.has(host));
  const first = eligible.find(({ key }) => key === preferred);
  if (first !== undefined) return first;
  let best: Candidate | undefined;
  let bestWeight = "";
  for (const candidate of eligible) {
    const weight = createHash("sha256").update(`${seed}\n${candidate.key}`).digest("hex");
    if (best === undefined || weight > bestWeight) [best, bestWeight] = [candidate, weight];
  }
  return best;
}

/**
 * What one metadata process serves: the primary that it is named after (`MDS.2.1`), and the backup of the instance before it in the ring
 * (`MDS.1.2`), so that the two copies of each instance are on different hosts.
 */
export function metadataServersOf(key: string, ring: string): { readonly instance: string; readonly backup: string | undefined } {
  const instance = key.slice(0, key.lastIndexOf("."));
  const instances = ring === "" ? [instance] : ring.split(",");
  const place = instances.indexOf(instance);
  if (place < 0)
    throw new StoreError(400, "filestore/usage", `${key} is not a server of one of ${ring}`, {
      next: "e.g. --key MDS.1.1 --ring MDS.1,MDS.2,MDS.3",
    });
  const before = instances.at(place - 1);
  return { instance, backup: before === undefined || before === instance ? undefined : `${before}.2` };
}
