import type { Random } from "../../../src/kernel/index.ts";

/** Box and Muller. */
export function standardNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.fraction()));
  return radius * Math.cos(2 * Math.PI * random.fraction());
}

/** With this mean and standard deviation, not those of its logarithm. */
export function lognormal(random: Random, mean: number, deviation: number): number {
  const variance = Math.log(1 + (deviation / mean) ** 2);
  return Math.exp(Math.log(mean) - variance / 2 + Math.sqrt(variance) * standardNormal(random));
}

export function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random.fraction());
}
