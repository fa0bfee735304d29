import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../../../src/kernel/index.ts";
import { codes, threeServers } from "./stage.ts";

describe("[DSD-21] a server with a limit to what it works on at a time", () => {
  test("works on the others in the order in which they came; what is cancelled or overdue never begins", async () => {
    const stage = await threeServers({ workMs: 50, concurrency: 2 });
    const controller = new AbortController();
    const asked = [
      ...Array.from({ length: 4 }, () => stage.ask("caller", "MDS.1.1", "act", { deadlineMs: 5000 })),
      stage.ask("caller", "MDS.1.1", "act", { deadlineMs: 30 }),
      stage.ask("caller", "MDS.1.1", "act", { signal: controller.signal }),
      stage.ask("caller", "MDS.1.1", "act", { deadlineMs: 5000 }),
    ];
    await stage.fleet.runFor(10);
    assert.equal(stage.starts.length, 2);
    controller.abort();
    const endings = await stage.fleet.until(Promise.all(asked));
    await stage.fleet.runFor(500);
    assert.deepEqual(
      stage.starts.map(({ number }) => number),
      [1, 2, 3, 4, 7],
    );
    assert.deepEqual(
      endings.map(({ error }) => error?.code),
      [undefined, undefined, undefined, undefined, "requests/unknown", "requests/aborted", undefined],
    );
  });

  test("what is overdue never begins, although its caller cannot say so", async () => {
    const stage = await threeServers({ workMs: 50, concurrency: 1 });
    const asked = [5000, 30, 30].map((deadlineMs) => stage.ask("caller", "MDS.1.1", "act", { deadlineMs }));
    await stage.fleet.runFor(10);
    stage.member("caller").stall();
    await stage.fleet.runFor(300);
    stage.member("caller").resume();
    await stage.fleet.until(Promise.all(asked));
    assert.deepEqual(
      stage.starts.map(({ number }) => number),
      [1],
    );
  });

  test("what waits when it closes goes elsewhere at once, writes too, and what its caller leaves behind is forgotten", async () => {
    const stage = await threeServers({ workMs: 100, concurrency: 1 });
    const server = await stage.serve("s1", "MDS.4.1", { workMs: 100, concurrency: 1 });
    await stage.serve("s2", "MDS.4.2", { workMs: 1 });
    await stage.fleet.until(
      stage.fleet
        .client("directory")
        .add("metadata", "MDS.4", ["MDS.4.1", "MDS.4.2"])
        .catch(() => undefined),
    );
    await stage.fleet.runFor(20);
    const asked = Array.from({ length: 6 }, () => stage.ask("caller", "MDS.4", "act", { deadlineMs: 3000 }));
    await stage.fleet.runFor(10);
    const closed = server.close();
    const endings = await stage.fleet.until(Promise.all(asked));
    await stage.fleet.until(closed);
    assert.deepEqual(codes(endings), [undefined]);
    assert.ok(stage.starts.filter(({ server: at }) => at === "s1").length <= 2);
    for (const { number } of endings) assert.equal(stage.startsOf(number).length, 1);
  });

  test("a limit below one is refused", async () => {
    const stage = await threeServers();
    const serving = stage.fleet
      .client("s1")
      .serve("metadata", "MDS.9.1", { port: 0, concurrency: 0, types: { look: { effect: "read", handle: () => null } } });
    await assert.rejects(stage.fleet.until(serving), (error) => error instanceof MusterError && error.code === "requests/bad-concurrency");
  });
});
