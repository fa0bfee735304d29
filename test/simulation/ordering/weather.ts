import { type Random, SeededRandom, randomBelow } from "../../../src/kernel/index.ts";
import type { StageOptions } from "./stage.ts";

/** What all servers and paths of a run are like, but for single faults. */
export type Weather = Omit<StageOptions, "limits">;

/** The luck that a run is made of before it begins. */
export interface Luck {
  readonly random: Random;
  /** True as often as that. */
  some(share: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
}

export function luckOf(seed: number): Luck {
  const random = new SeededRandom(seed);
  return {
    random,
    some: (share) => random.fraction() < share,
    pick: (list) => list[randomBelow(random, list.length)] ?? list[0],
  };
}

export interface Climate {
  /** Messages are lost, doubled and late. */
  readonly isRough: boolean;
  /** Of rough runs: so many of all messages are late. */
  readonly late: number;
  /** Of all runs: in so many that takes very long. */
  readonly veryLate: number;
  readonly crashShares: readonly [number, ...number[]];
}

export function drawWeather({ some, pick }: Luck, { isRough, late, veryLate, crashShares }: Climate): Weather {
  return {
    paths: {
      latencyMs: 0.1,
      jitterMs: some(0.3) ? 8 : 1,
      loss: isRough ? 0.02 : 0,
      twice: isRough ? 0.03 : 0,
      late: isRough ? late : 0,
      lateMs: some(veryLate) ? 800 : 60,
    },
    roll: { pushMs: 0.2, jitterMs: some(0.3) ? 40 : 3, lateShare: some(0.25) ? 0.4 : 0.03 },
    commitMs: some(0.2) ? 3 : 0.15,
    crashShare: pick(crashShares),
    timerLatenessMs: some(0.3) ? 3 : 0,
    tickMs: 5,
  };
}

/** For written schedules: nothing happens but what is written. */
export const stillWeather: Weather = {
  paths: { latencyMs: 0.2, jitterMs: 0, loss: 0, twice: 0, late: 0, lateMs: 0 },
  roll: { pushMs: 0.3, jitterMs: 0, lateShare: 0, isLucky: true },
  commitMs: 0.1,
  crashShare: 0,
  timerLatenessMs: 0,
  tickMs: 5,
};
