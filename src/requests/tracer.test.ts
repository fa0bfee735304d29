import assert from "node:assert/strict";
import { test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { aborted } from "./errors.ts";
import { notAwaited } from "./gather-errors.ts";
import { type RequestSpan, type Tracer, askTraced } from "./tracer.ts";

/** Notes how spans end. */
class Noting implements Tracer {
  readonly ends: string[] = [];

  request(): RequestSpan {
    return {
      trace: undefined,
      sent: () => {},
      answered: () => {},
      ended: (error) => this.ends.push(error === undefined ? "answered" : "failed"),
      left: () => this.ends.push("left"),
    };
  }

  serve<Result>(_served: unknown, handle: () => Result): Result {
    return handle();
  }

  current(): undefined {
    return undefined;
  }
}

test("a span ends answered, failed, or left because enough others have answered, which is no failure", async () => {
  const tracer = new Noting();
  const given = [
    () => Promise.resolve(null),
    () => Promise.reject(aborted("MDS.1.1", "look", "maybe", notAwaited("MDS.1.1", "enough others have answered"))),
    () => Promise.reject(aborted("MDS.1.1", "look", "maybe", new Error("the caller had its reasons"))),
    () => Promise.reject(new MusterError("requests/not-awaited", "a handler may say anything")),
  ];
  for (const ask of given) await askTraced(tracer, "MDS.1.1", "look", undefined, ask).catch(() => undefined);
  assert.deepEqual(tracer.ends, ["answered", "left", "failed", "failed"]);
});
