import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Operation, type OperationKind, type Value, apply } from "./history.ts";
import { checkLinearizable, describeLinearized } from "./linearizability.ts";
import { checkSessions } from "./sessions.ts";

function operation(
  client: string,
  kind: OperationKind,
  invokedMs: number,
  respondedMs: number | undefined,
  more: Partial<Operation> = {},
): Operation {
  return { client, key: "k", kind, invokedMs, respondedMs, result: null, ...more };
}

const put = (client: string, argument: string, from: number, to?: number) => operation(client, "put", from, to, { argument });
const read = (client: string, result: Value, from: number, to: number) => operation(client, "read", from, to, { result });

describe("linearizability checker", () => {
  test("accepts what overlaps in either order", () => {
    const history = [put("a", "1", 0, 10), put("b", "2", 5, 15), read("c", "1", 20, 30)];
    assert.equal(checkLinearizable(history).verdict, "yes");
    assert.equal(checkLinearizable([...history.slice(0, 2), read("c", "2", 20, 30)]).verdict, "yes");
  });

  test("refuses a read that misses a write which had ended", () => {
    const found = checkLinearizable([put("a", "1", 0, 10), put("a", "2", 11, 20), read("c", "1", 21, 30)]);
    assert.equal(found.verdict, "no");
    assert.match(describeLinearized(found), /then none of\n\s+c read k \[21/);
  });

  test("refuses two reads, one after the other, that see overlapping writes in two orders", () => {
    const writes = [put("a", "1", 0, 100), put("b", "2", 0, 100)];
    const there = [read("c", "1", 10, 20), read("c", "2", 30, 40)];
    assert.equal(checkLinearizable([...writes, ...there]).verdict, "yes");
    assert.equal(checkLinearizable([...writes, ...there, read("d", "1", 50, 60)]).verdict, "no");
  });

  test("refuses a write that is seen and then unseen", () => {
    assert.equal(checkLinearizable([put("a", "1", 0, undefined), read("b", "1", 5, 6), read("b", null, 7, 8)]).verdict, "no");
  });

  test("lets a write without an outcome happen late, or never", () => {
    const open = put("a", "1", 0);
    assert.equal(checkLinearizable([open, read("b", null, 50, 60), read("b", "1", 70, 80)]).verdict, "yes");
    assert.equal(checkLinearizable([open, read("b", null, 50, 60)]).verdict, "yes");
    assert.equal(checkLinearizable([put("a", "1", 65), read("b", "1", 50, 60)]).verdict, "no");
  });

  test("refuses an append that happened twice, an addition that was lost, a compare-and-set that won twice", () => {
    const append = (argument: string, result: string, at: number) => operation("a", "append", at, at + 1, { argument, result });
    assert.equal(checkLinearizable([append("x", "x", 0), append("y", "xy", 2)]).verdict, "yes");
    assert.equal(checkLinearizable([append("x", "x", 0), append("y", "xxy", 2)]).verdict, "no");
    const add = (result: string, at: number) => operation("a", "add", at, at + 1, { argument: "1", result });
    assert.equal(checkLinearizable([add("1", 0), add("1", 2)]).verdict, "no");
    const cas = (client: string, argument: string) => operation(client, "cas", 0, 10, { argument, expected: null, result: "done" });
    assert.equal(checkLinearizable([cas("a", "1"), cas("b", "2")]).verdict, "no");
    assert.equal(checkLinearizable([cas("a", "1"), { ...cas("b", "2"), result: "differs" }]).verdict, "yes");
  });

  test("takes each key alone, and says which one is wrong", () => {
    const found = checkLinearizable([
      put("a", "1", 0, 1),
      { ...put("a", "1", 2, 3), key: "other" },
      { ...read("b", null, 4, 5), key: "other" },
    ]);
    assert.equal(found.verdict === "no" ? found.key : "", "other");
  });

  test("does not look at session reads, which may be old", () => {
    assert.equal(checkLinearizable([put("a", "1", 0, 1), operation("b", "session-read", 2, 3)]).verdict, "yes");
  });

  test("gives up, and says so, instead of searching for ever", () => {
    const history = Array.from({ length: 24 }, (_, number) => put("a", String(number), 0, 100));
    const found = checkLinearizable([...history, read("b", "none of them", 200, 201)], 10_000);
    assert.equal(found.verdict, "undecided");
  });

  test("agrees with trying every order", () => {
    const kinds = ["put", "append", "add", "cas", "delete", "read"] as const;
    const one = fc.record({
      kind: fc.constantFrom(...kinds),
      argument: fc.constantFrom("1", "2"),
      expected: fc.constantFrom(null, "1", "2"),
      invokedMs: fc.nat(12),
      tookMs: fc.option(fc.nat(8), { nil: undefined }),
      guess: fc.constantFrom<(string | null)[]>(null, "1", "2", "3", "12", "done", "differs"),
      honest: fc.boolean(),
    });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), (drawn) => {
        // Honest results come from one order, so that many histories are right.
        let value: Value = null;
        const history = drawn
          .toSorted((a, b) => a.invokedMs - b.invokedMs)
          .map(({ kind, argument, expected, invokedMs, tookMs, guess, honest }, number): Operation => {
            const applied = apply({ kind, argument, expected }, value);
            value = applied.value;
            const result = honest || number % 3 > 0 ? applied.result : guess;
            return {
              client: "c",
              key: "k",
              kind,
              argument,
              expected,
              invokedMs,
              respondedMs: tookMs === undefined ? undefined : invokedMs + tookMs,
              result,
            };
          });
        const expectedVerdict = fitsSomehow(history, null) ? "yes" : "no";
        if (expectedVerdict === "no") refused++;
        assert.equal(checkLinearizable(history).verdict, expectedVerdict);
      }),
      { numRuns: 2000 },
    );
    assert.ok(refused > 100, `only ${refused} histories were wrong`);
  });
});

/** The definition itself. */
function fitsSomehow(left: readonly Operation[], value: Value): boolean {
  if (left.every(({ respondedMs }) => respondedMs === undefined)) return true;
  const firstEndMs = Math.min(...left.map(({ respondedMs }) => respondedMs ?? Number.POSITIVE_INFINITY));
  return left.some((one) => {
    if (one.invokedMs > firstEndMs) return false;
    const applied = apply(one, value);
    if (one.respondedMs !== undefined && applied.result !== one.result) return false;
    return fitsSomehow(
      left.filter((other) => other !== one),
      applied.value,
    );
  });
}

describe("session checker", () => {
  const write = (client: string, argument: string, at: number, index: number, epoch = 1) =>
    operation(client, "put", at, at + 1, { argument, position: { epoch, index } });
  const look = (client: string, result: Value, at: number, index: number, epoch = 1) =>
    operation(client, "session-read", at, at + 1, { result, position: { epoch, index } });

  test("accepts old values, as long as the session itself never goes back", () => {
    assert.equal(checkSessions([write("a", "1", 0, 1), write("a", "2", 2, 2), look("b", "1", 10, 1), look("b", "2", 12, 2)]), undefined);
  });

  test("refuses a session that does not see its own write", () => {
    assert.match(checkSessions([write("a", "1", 0, 1), write("a", "2", 2, 2), look("a", "1", 4, 1)]) ?? "", /went back/);
  });

  test("refuses a session that runs backwards, but not reads of it that overlap", () => {
    const writes = [write("a", "1", 0, 1), write("a", "2", 2, 2)];
    assert.match(checkSessions([...writes, look("b", "2", 4, 2), look("b", "1", 6, 1)]) ?? "", /went back/);
    assert.equal(checkSessions([...writes, look("b", "2", 4, 2), look("b", "1", 4.5, 1)]), undefined);
  });

  test("refuses an epoch that falls as the log goes on", () => {
    assert.match(checkSessions([write("a", "1", 0, 1, 2), write("b", "2", 2, 2, 1)]) ?? "", /epoch fell/);
  });

  test("refuses a value that nobody committed at that place", () => {
    const history = [write("a", "1", 0, 1), write("a", "2", 2, 2), look("b", "2", 10, 1)];
    assert.match(checkSessions(history) ?? "", /not committed there/);
    const committed = [
      { index: 1, key: "k", value: "1" },
      { index: 2, key: "k", value: "2" },
    ];
    assert.match(checkSessions(history, committed) ?? "", /not committed there/);
  });

  test("a write without an outcome explains a value only where the committed writes are not known", () => {
    const history = [put("a", "9", 0), look("b", "9", 10, 1)];
    assert.equal(checkSessions(history), undefined);
    assert.match(checkSessions(history, []) ?? "", /not committed there/);
  });
});
