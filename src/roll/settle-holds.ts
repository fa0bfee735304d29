import type { Clock } from "../kernel/index.ts";

/** Resolves when what was begun before the revision has arrived where it was sent; undefined when there is nothing. */
export type SettleHold = () => Promise<unknown> | undefined;

/** One program cannot hold a whole fleet's barrier up for longer. */
const holdMsMax = 1000;

/**
 * What a program still has on its way when a barrier asks whether it has applied a revision: requests to servers that the
 * revision takes out of use. Its answer waits for them, so that nothing arrives there after `settled` has resolved.
 */
export class SettleHolds {
  readonly #clock: Clock;
  readonly #holds = new Set<SettleHold>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Asked at each barrier until the returned function is called. */
  add(hold: SettleHold): () => void {
    this.#holds.add(hold);
    return () => this.#holds.delete(hold);
  }

  /** Calls `done` when nothing is on its way any more, at once when nothing is, after a second at the latest. */
  after(done: () => void): void {
    const waiting = [...this.#holds].flatMap((hold) => hold() ?? []);
    if (waiting.length === 0) {
      done();
      return;
    }
    let open = true;
    const finish = () => {
      if (!open) return;
      open = false;
      timer.cancel();
      done();
    };
    const timer = this.#clock.schedule(holdMsMax, finish);
    Promise.allSettled(waiting).then(finish, finish);
  }
}
