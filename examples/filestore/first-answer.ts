export interface FirstAnswerOptions {
  /** Without an answer for so long, the next one is asked as well. */
  readonly afterMs: number;
  /** What second questions may add to the first ones, as a share of them; and how many of them can be saved up. */
  readonly share: number;
  readonly burst: number;
}

/** Asks the first of several who could answer, the next one when that takes long or fails, and takes whichever answer is there first. */
export class FirstAnswer {
  readonly #options: FirstAnswerOptions;
  #spare: number;

  constructor(options: FirstAnswerOptions) {
    this.#options = options;
    this.#spare = options.burst;
  }

  /** Rejects with an AggregateError when all have failed. Losers are aborted, and closed if they have answered all the same. */
  of<T extends { close(): void }>(asked: readonly string[], ask: (one: string, signal: AbortSignal) => Promise<T>): Promise<T> {
    const { afterMs, share, burst } = this.#options;
    this.#spare = Math.min(burst, this.#spare + share);
    return new Promise((resolve, reject) => {
      const waiting = [...asked];
      const asking = new Set<AbortController>();
      const failures: unknown[] = [];
      let isOver = false;
      let timer: NodeJS.Timeout | undefined;
      const next = (): void => {
        clearTimeout(timer);
        const one = waiting.shift();
        if (one === undefined) {
          if (asking.size === 0) reject(new AggregateError(failures, "nobody could answer"));
          return;
        }
        const controller = new AbortController();
        asking.add(controller);
        timer = setTimeout(() => {
          if (waiting.length === 0 || this.#spare < 1) return;
          this.#spare -= 1;
          next();
        }, afterMs);
        ask(one, controller.signal).then(
          (answer) => {
            asking.delete(controller);
            if (isOver) return answer.close();
            isOver = true;
            clearTimeout(timer);
            for (const loser of asking) loser.abort(new Error("another one has answered"));
            resolve(answer);
          },
          (thrown: unknown) => {
            asking.delete(controller);
            failures.push(thrown);
            // Moving on from a failure is no extra load.
            if (!isOver) next();
          },
        );
      };
      next();
    });
  }
}
