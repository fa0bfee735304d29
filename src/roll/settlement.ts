import { MusterError, formatRevision } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Barrier } from "./barrier.ts";
import type { Child } from "./child.ts";
import type { Children } from "./children.ts";
import type { Directory } from "./directory.ts";

/**
 * The last word on `settled`, at the directory: every stream has answered its marker, and nobody is on the way from one
 * parent to another. Both news travel in order up the same links, so a node that left is known before its parent answers.
 */
export class Settlement {
  readonly #directory: Directory;
  readonly #barrier: Barrier<Child>;
  readonly #children: Children;
  readonly #replica: Replica;
  readonly #open = new Set<{ markersDone: boolean; readonly resolve: (detached: number) => void }>();

  constructor(parts: {
    readonly directory: Directory;
    readonly barrier: Barrier<Child>;
    readonly children: Children;
    readonly replica: Replica;
  }) {
    this.#directory = parts.directory;
    this.#barrier = parts.barrier;
    this.#children = parts.children;
    this.#replica = parts.replica;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Resolves with the number of nodes that were given up as detached. */
  settle(sequence: number): Promise<number> {
    if (sequence > this.#replica.position.sequence)
      return Promise.reject(new MusterError("roll/no-such-revision", `the newest revision is ${formatRevision(this.#replica.position)}`));
    return new Promise((resolve) => {
      const waiting = { markersDone: false, resolve };
      this.#open.add(waiting);
      this.#barrier.start(this.#children, sequence, () => {
        waiting.markersDone = true;
        this.check();
      });
      this.#children.pumpAll();
    });
  }

  check(): void {
    const { attendance } = this.#directory;
    if (this.#open.size === 0 || attendance.leavers > 0) return;
    for (const waiting of this.#open) {
      if (!waiting.markersDone) continue;
      this.#open.delete(waiting);
      waiting.resolve(attendance.givenUp);
    }
  }
}
