import type { FleetHandle } from "../../../src/fleet/index.ts";
import { type RollLimits, type RollNode, type RollPeriods, presets } from "../../../src/roll/index.ts";
import type { CrashManner, SimLife, SimMember } from "../../../src/testing/index.ts";

/** Short periods, so that a run of some seconds holds many of them. */
export const periods: RollPeriods = { ...presets.test, watchTickMs: 25 };

/** Small enough that replays, loads and children set apart happen in every run. */
export const limits: Partial<RollLimits> = {
  ringChangesMax: 30,
  storedLogMax: 20,
  childBytesMax: 8 * 1024,
  openChangesMax: 200,
  loadPartBytes: 512,
};

/** One member of the fleet, with what the checkers remember of its present life. */
export class Slot {
  readonly name: string;
  readonly member: SimMember;
  /** Called with each life that begins. */
  onStart: (slot: Slot) => void = () => {};
  #seen: { readonly life: SimLife; position: { readonly epoch: number; readonly sequence: number } } | undefined;

  constructor(member: SimMember) {
    this.name = member.name;
    this.member = member;
  }

  get role(): RollNode["options"]["role"] {
    return this.member.options.role;
  }

  get want(): RollNode["options"]["want"] {
    return this.member.options.want;
  }

  get node(): RollNode {
    return this.member.node;
  }

  get handle(): FleetHandle {
    return this.member.handle;
  }

  get life(): SimLife {
    return this.member.life;
  }

  get alive(): boolean {
    return this.member.alive;
  }

  get paused(): boolean {
    return this.member.paused;
  }

  get lives(): number {
    return this.member.lives;
  }

  /** The highest position seen in this life. */
  get position(): { readonly epoch: number; readonly sequence: number } {
    return this.#seen?.life === this.life ? this.#seen.position : { epoch: 0, sequence: 0 };
  }

  set position(position: { readonly epoch: number; readonly sequence: number }) {
    this.#seen = { life: this.life, position };
  }

  start(): void {
    this.member.start();
    this.onStart(this);
  }

  crash(manner: CrashManner = "reset"): void {
    this.member.crash(manner);
  }

  restart(): void {
    this.member.restart();
    this.onStart(this);
  }
}
