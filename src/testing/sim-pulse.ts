import { type Timer, every } from "../kernel/index.ts";
import { type PulseKeeper, PulseSender, type PulseTask } from "../roll/index.ts";
import type { SimNetwork } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";

/** Turns of the main loop that are counted between two pulses; as the real one counts them. */
const turnsPerPulse = 2;

/**
 * The thread beside a simulated program's main loop: a life of its own on the same machine, so that the main loop may stand
 * still (`SimMember.stall`) while pulses leave.
 */
export class SimPulse implements PulseKeeper {
  readonly thread: SimNode;
  readonly #main: SimNode;
  readonly #network: SimNetwork;
  readonly #program: { readonly name: string; readonly pid: number; readonly started: string };
  #turns = 0;
  #turning: Timer | undefined;
  #sender: PulseSender | undefined;
  #task: PulseTask | undefined;
  #works = false;

  constructor(main: SimNode, network: SimNetwork, program: { readonly name: string; readonly pid: number; readonly started: string }) {
    this.#main = main;
    this.#network = network;
    this.#program = program;
    this.thread = new SimNode(main.world, { name: `${main.name}#${main.lives}`, host: main.host });
    const { thread } = this;
    main.life.onEnd((manner) => thread.crash(manner));
  }

  get works(): boolean {
    return this.#works;
  }

  keep(task: PulseTask | undefined): void {
    const before = this.#task;
    this.#task = task;
    if (task === undefined) {
      this.#turning?.cancel();
      this.#sender?.close();
      this.#sender = undefined;
      this.#works = false;
      return;
    }
    if (before?.everyMs !== task.everyMs) {
      this.#turning?.cancel();
      this.#turning = every(this.#main.clock, task.everyMs / turnsPerPulse, () => this.#turns++);
    }
    this.#sender ??= this.#start(task.token);
    this.#sender.aim(task.watcher, task.everyMs);
  }

  #start(token: string): PulseSender {
    const { clock, random } = this.thread;
    return new PulseSender({
      clock,
      random,
      transport: this.#network.transport(this.thread),
      program: { ...this.#program, token },
      turns: () => this.#turns,
      // A message between threads: the main loop reads it when it turns.
      works: (works) =>
        this.#main.clock.turn(() => {
          if (this.#works === works || this.#task === undefined) return;
          this.#works = works;
          this.#task.changed();
        }),
    });
  }
}
