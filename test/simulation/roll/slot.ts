import type { FleetHandle } from "../../../src/fleet/index.ts";
import { type RollLimits, type RollNode, type RollPeriods, presets } from "../../../src/roll/index.ts";
import type { CrashManner, SimLife, SimMember } from "../../../src/testing/index.ts";

/** Short periods, so that a run of some seconds holds many of them. */
export const periods: RollPeriods = { ...presets.test, watchTickMs: 25 };

/** Small enough that replays, loads and children set apart happen in every run. */
export const limits: Partial<RollLimits> = {
  ringChangesMax: 20,
  storedLogMax: 15,
  childBytesMax: 8 * 1024,
  openChangesMax: 200,
  loadPartBytes: 512,
};

interface Seen {
  readonly life: SimLife;
  position: { readonly epoch: number; readonly sequence: number };
  compared: number;
  marks: number;
}

/** One member of the fleet, with what the checkers remember of its present life. */
export class Slot {
  readonly name: string;
  readonly member: SimMember;
  /** Called with each life that begins. */
  onStart: (slot: Slot) => void = () => {};
  #seen: Seen | undefined;

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

  /** What was seen of the present life. */
  get #known(): Seen {
    if (this.#seen?.life !== this.life) this.#seen = { life: this.life, position: { epoch: 0, sequence: 0 }, compared: 0, marks: 0 };
    return this.#seen;
  }

  /** The highest position. */
  get position(): Seen["position"] {
    return this.#known.position;
  }

  set position(position: Seen["position"]) {
    this.#known.position = position;
  }

  /** Up to here its rows were compared with what is committed. */
  get compared(): number {
    return this.#known.compared;
  }

  set compared(sequence: number) {
    this.#known.compared = sequence;
  }

  /** How many marks it showed last. */
  get marks(): number {
    return this.#known.marks;
  }

  set marks(count: number) {
    this.#known.marks = count;
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
