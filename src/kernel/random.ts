/** Randomness as a port, so that a simulated run is repeated by its seed. */
export interface Random {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** `length` hexadecimal characters' worth of identity: 32 characters are 128 bits. */
  hex(length: number): string;
}

/** Uniform integer in [0, bound). */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor(random.fraction() * bound);
}

/** `valueMs` spread uniformly over [1 − spread, 1 + spread) × `valueMs`: every periodic timer is jittered with it. */
export function jitter(random: Random, valueMs: number, spread = 0.2): number {
  return valueMs * (1 - spread + 2 * spread * random.fraction());
}
