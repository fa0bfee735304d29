import assert from "node:assert/strict";
import { test } from "node:test";
import { FirstAnswer } from "./first-answer.ts";

interface Answer {
  readonly from: string;
  close(): void;
}

/** Answers when told to; keeps what became of each question. */
class Servers {
  readonly asked: string[] = [];
  readonly aborted: string[] = [];
  readonly closed: string[] = [];
  readonly #asking = new Map<string, PromiseWithResolvers<Answer>>();

  readonly ask = (one: string, signal: AbortSignal): Promise<Answer> => {
    this.asked.push(one);
    signal.addEventListener("abort", () => this.aborted.push(one));
    const question = Promise.withResolvers<Answer>();
    this.#asking.set(one, question);
    return question.promise;
  };

  answer(from: string): void {
    this.#asking.get(from)?.resolve({ from, close: () => this.closed.push(from) });
  }

  fail(from: string): void {
    this.#asking.get(from)?.reject(new Error(from));
  }
}

const soon = { afterMs: 0, share: 0.5, burst: 1 };
const never = { afterMs: 60_000, share: 0.5, burst: 1 };

test("the next one is asked when the first is slow; the loser is aborted, and closed if it answers all the same", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const servers = new Servers();
  const first = new FirstAnswer(soon).of(["a", "b", "c"], servers.ask);
  context.mock.timers.tick(1);
  assert.deepEqual(servers.asked, ["a", "b"]);
  servers.answer("b");
  assert.equal((await first).from, "b");
  assert.deepEqual(servers.aborted, ["a"]);
  servers.answer("a");
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(servers.closed, ["a"]);
});

test("a failure asks the next one at once; when all have failed, their errors are told", async () => {
  const servers = new Servers();
  const answer = new FirstAnswer(never).of(["a", "b"], servers.ask);
  servers.fail("a");
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(servers.asked, ["a", "b"]);
  servers.fail("b");
  await assert.rejects(
    answer,
    (thrown: unknown) => thrown instanceof AggregateError && thrown.errors.map(String).join() === "Error: a,Error: b",
  );
});

test("second questions are a share of the first ones, so that slow servers are not asked twice as much for it", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const answers = new FirstAnswer(soon);
  const counts = Array.from({ length: 6 }, () => {
    const servers = new Servers();
    void answers.of(["a", "b"], servers.ask);
    context.mock.timers.tick(1);
    return servers.asked.length;
  });
  assert.deepEqual(counts, [2, 1, 2, 1, 2, 1]);
});
