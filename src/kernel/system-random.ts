import { randomBytes } from "node:crypto";
import type { Random } from "./random.ts";

/** The operating system's randomness for identities; `Math.random` for jitter, where nothing depends on secrecy. */
export class SystemRandom implements Random {
  fraction(): number {
    return Math.random();
  }

  hex(length: number): string {
    return randomBytes(Math.ceil(length / 2))
      .toString("hex")
      .slice(0, length);
  }
}
