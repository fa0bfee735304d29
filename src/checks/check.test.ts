import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { type Check, type CheckState, checkUnknown, formatCheck, parseCheck, stepCheck } from "./index.ts";

const place = { host: "10.0.0.9", port: 1872 };

describe("reading a check", () => {
  test("short forms mean the entry's own place; long forms name theirs; anything else is a command", () => {
    const read = (text: string) => formatCheck(parseCheck(text, place));
    assert.equal(read("tcp"), "tcp://10.0.0.9:1872");
    assert.equal(read("http:"), "http://10.0.0.9:1872/");
    assert.equal(read("http:/health?full=1"), "http://10.0.0.9:1872/health?full=1");
    assert.equal(read("https:/health"), "https://10.0.0.9:1872/health");
    assert.equal(read("tcp://[::1]:80"), "tcp://[::1]:80");
    assert.equal(read("http://127.0.0.1:8080/health"), "http://127.0.0.1:8080/health");
    assert.deepEqual(parseCheck("/usr/bin/check --tcp 80", place), { kind: "command", command: "/usr/bin/check --tcp 80" });
    assert.deepEqual(parseCheck("tcp", { host: "::1", port: 1 }), { kind: "tcp", host: "::1", port: 1 });
    assert.equal(formatCheck(parseCheck("http:/x", { host: "::1", port: 1 })), "http://[::1]:1/x");
  });

  test("what cannot be a check is refused with the forms that can", () => {
    for (const text of ["", "   ", "tcp://nowhere", "tcp://h:0", "tcp://h:70000", "http://", "tcp:80", "a\nb", "x".repeat(2000)])
      assert.throws(
        () => parseCheck(text, place),
        (thrown) => thrown instanceof MusterError && thrown.code === "checks/bad-check" && thrown.next !== undefined,
        text,
      );
    assert.throws(() => parseCheck("tcp"), MusterError);
    assert.throws(() => parseCheck("http:/health"), MusterError);
  });

  test("any text is read or refused, never anything else; what was read is read again the same", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl(),
          fc.string().map((text) => `tcp://${text}`),
          fc.string().map((text) => `http:/${text}`),
        ),
        (text) => {
          let check: Check;
          try {
            check = parseCheck(text, place);
          } catch (thrown) {
            assert.ok(thrown instanceof MusterError);
            return;
          }
          assert.deepEqual(parseCheck(formatCheck(check), place), check);
        },
      ),
    );
  });
});

describe("judging results", () => {
  const good = { healthy: true, reason: "connected" };
  const bad = { healthy: false, reason: "refused" };

  /** The turns that a row of results brings about, by index. */
  function turns(results: readonly boolean[], thresholds?: { fall: number; rise: number }): string[] {
    let state: CheckState = checkUnknown;
    return results.flatMap((healthy, index) => {
      const step = stepCheck(state, healthy ? good : bad, thresholds);
      state = step.state;
      return step.turned === undefined ? [] : [`${index} ${step.turned}`];
    });
  }

  test("two failures in a row make a fall, one success a rise, by default", () => {
    assert.deepEqual(turns([true, true, false, true, false, false, false, true]), ["0 healthy", "5 failed", "7 healthy"]);
  });

  test("a program that has never answered is failed at the first look", () => {
    assert.deepEqual(turns([false, false, true]), ["0 failed", "2 healthy"]);
  });

  test("thresholds count results in a row, whatever they are", () => {
    assert.deepEqual(turns([true, true, true, false, false, true, false, false, false], { fall: 3, rise: 2 }), ["1 healthy", "8 failed"]);
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        (results, fall, rise) => {
          const told = turns(results, { fall, rise });
          for (const [at, turn] of told.entries()) {
            const [index = "", verdict] = turn.split(" ");
            const needed = verdict === "healthy" ? rise : at === 0 ? 1 : fall;
            const run = results.slice(Math.max(0, Number(index) - needed + 1), Number(index) + 1);
            assert.ok(run.length === needed && run.every((healthy) => healthy === (verdict === "healthy")));
            if (at > 0) assert.notEqual(told[at - 1]?.split(" ")[1], verdict);
          }
        },
      ),
    );
  });
});
