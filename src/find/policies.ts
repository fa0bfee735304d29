import { type JsonValue, MusterError, isRecord } from "../kernel/index.ts";
import { attributesOf } from "../tables/index.ts";
import { rendezvousScore } from "./hash.ts";
import type { FindPolicy } from "./route.ts";

/** The share of a server under the policy `weighted`: its attribute `weight`, a number ≥ 0; anything else counts as 1. */
export function weightOf(value: JsonValue): number {
  const attributes = attributesOf(value);
  const weight = isRecord(attributes) ? attributes.weight : undefined;
  return typeof weight === "number" && weight >= 0 && weight < 1e9 ? weight : 1;
}

/**
 * Smooth weighted round robin (as in nginx): every choice gains its weight, the one that has most is taken and pays the sum.
 * Spreads the turns of a heavy server evenly. Where all weights are 0 they count as equal. Returns the index.
 */
export function takeWeighted(weights: readonly number[], credit: Float64Array): number {
  let sum = 0;
  for (const weight of weights) sum += weight;
  const floor = sum === 0 ? 1 : 0;
  let best = -1;
  let bestCredit = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < weights.length; index++) {
    const weight = (weights[index] ?? 0) + floor;
    const gained = (credit[index] ?? 0) + weight;
    credit[index] = gained;
    if (weight > 0 && gained > bestCredit) {
      best = index;
      bestCredit = gained;
    }
  }
  if (best >= 0) credit[best] = (credit[best] ?? 0) - (sum === 0 ? weights.length : sum);
  return best;
}

/** Indices by falling weight; equal ones keep their order. */
export function orderByWeight(weights: readonly number[]): readonly number[] {
  return weights.map((_, index) => index).sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
}

/** Indices of `candidates` by falling score for `seed`. */
export function orderByRendezvous(seed: string, candidates: readonly string[], weights: readonly number[]): readonly number[] {
  const scores = candidates.map((candidate, index) => rendezvousScore(seed, candidate, weights[index] ?? 1));
  return scores.map((_, index) => index).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
}

/** Reads the name of a policy. Throws `find/bad-policy`. */
export function parsePolicy(value: unknown): FindPolicy {
  if (value === "round-robin" || value === "primary-first" || value === "weighted" || value === "rendezvous") return value;
  throw new MusterError("find/bad-policy", `${JSON.stringify(value) ?? "nothing"} is not a policy`, {
    next: "use round-robin, primary-first, weighted or rendezvous",
  });
}
