import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Scenario } from "../scenario.ts";

const program = path.join(import.meta.dirname, "../programs/jumping-clock.ts");

/**
 * The wall clocks of a stage's hosts. All namespaces of a machine share its wall clock (time namespaces shift the monotonic and the boot
 * clock only), and the machine's own must not be touched: so programs of hosts whose clocks jump are given another `Date`.
 */
export class WallClocks {
  readonly #folder: string;
  readonly #hosts: readonly string[];

  /** Makes the clocks of all hosts that a scenario makes jump. */
  constructor(folder: string, scenario: Scenario) {
    this.#folder = folder;
    this.#hosts = [
      ...new Set(
        [0, 1, 2, 3, 4, 5].flatMap((round) => scenario.steps(round)).flatMap(({ action }) => (action.do === "jump" ? [action.host] : [])),
      ),
    ];
    for (const host of this.#hosts) writeFileSync(this.#file(host), "0");
  }

  /** What a host's programs are started with besides their own. */
  env(host: string): Readonly<Record<string, string>> {
    return this.#hosts.includes(host) ? { NODE_OPTIONS: `--import ${program}`, MUSTER_LAB_CLOCK: this.#file(host) } : {};
  }

  jump(host: string, byMs: number): void {
    const file = this.#file(host);
    writeFileSync(file, String(Number(readFileSync(file, "utf8")) + byMs));
  }

  #file(host: string): string {
    return path.join(this.#folder, `${host}.clock`);
  }
}
