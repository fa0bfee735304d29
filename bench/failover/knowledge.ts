import { isRecord } from "../../src/kernel/index.ts";
import type { BenchContext, Child } from "../bench.ts";
import { type CliNode, compiledCode } from "../cli-fleet.ts";

const processes = 2;

/** What all nodes of one process know of a server. */
interface Knowledge {
  readonly isUsed: boolean;
  readonly atMs: number;
}

/** Many nodes that follow the roll, each with a link and a replica, in a few processes; and when the last of them knows what. */
export class Knowledgeable {
  readonly #children: readonly Child[];
  /** By child and server: only what holds for all nodes of the child. */
  readonly #known: readonly Map<string, Knowledge>[];
  #waiting: { readonly key: string; readonly isUsed: boolean; readonly done: (atMs: number) => void }[] = [];

  constructor(context: BenchContext, library: string, directory: CliNode, count: number) {
    const script = new URL("watchers.ts", import.meta.url);
    this.#children = Array.from({ length: processes }, () =>
      context.child(script, [library, count / processes, directory.place], { env: compiledCode }),
    );
    this.#known = this.#children.map(() => new Map<string, Knowledge>());
    this.#children.forEach((child, index) =>
      child.on("told", (news) => {
        if (!isRecord(news)) return;
        const { key, isUsed, atMs } = news;
        this.#known[index]?.set(String(key), { isUsed: isUsed === true, atMs: Number(atMs) });
        this.#look(String(key));
      }),
    );
  }

  async open(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.call("open")));
  }

  /**
   * When the last node came to know that the server is to be used, or is not; NaN when that takes longer than `lostAfterMs`.
   * The news may come before the question.
   */
  told(key: string, isUsed: boolean, lostAfterMs = 8000): Promise<number> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(Number.NaN), lostAfterMs);
      const done = (atMs: number) => {
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
        resolve(atMs);
      };
      const waiting = { key, isUsed, done };
      this.#waiting.push(waiting);
      this.#look(key);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
  }

  #look(key: string): void {
    const known = this.#known.map((one) => one.get(key));
    const lastMs = Math.max(...known.map((one) => one?.atMs ?? Number.NaN));
    for (const waiting of this.#waiting)
      if (waiting.key === key && known.every((one) => one?.isUsed === waiting.isUsed)) waiting.done(lastMs);
  }
}
