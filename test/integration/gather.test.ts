import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import type { FleetHandle } from "../../src/fleet/index.ts";
import { LocalFleet } from "./local-fleet.ts";

/** The roll and the caller in this process, three servers in processes of their own, all over real sockets. */
describe("one question to three processes", () => {
  const fleet = new LocalFleet();
  const servers: ChildProcess[] = [];
  let caller: FleetHandle;

  before(async () => {
    const { door } = await fleet.startHost("HOST1", "127.0.0.1");
    caller = await fleet.startProgram("caller", door);
    for (const [index, workMs] of [20, 60, 1500].entries())
      servers.push(await fleet.fork("request-server.mjs", door, `MDS.${index + 1}.1`, String(workMs)));
    while (caller.search("metadata", "MDS.").filter(({ key, valid }) => valid && key.split(".").length === 3).length < 3) await delay(20);
  });

  after(async () => {
    await fleet.close();
  });

  const by = (answers: readonly { readonly answer: unknown }[]) => answers.map(({ answer }) => JSON.stringify(answer)).toSorted();
  const answerOf = (number: number, body: string) => JSON.stringify({ by: `MDS.${number}.1`, body });

  test("[MRT-1] [MRT-4] every process answers according to the type, and the caller receives all answers", async () => {
    const all = await caller.gather("MDS", "look", "a.txt");
    assert.deepEqual([by(all.answers), all.complete], [[1, 2, 3].map((number) => answerOf(number, "a.txt")), true]);
    const first = await caller.gather("MDS", "look", "b.txt", { until: "first" });
    assert.deepEqual([first.complete, first.size, first.missing.length], [true, 3, 2]);
  });

  test("[MRT-2] the subset is changed while the processes run: who is outside of it answers nothing more", async () => {
    const revision = await caller.add("request-types", "MDS/look", { effect: "read", subset: ["MDS.1.1", "MDS.2.1"], by: "operator" });
    await caller.settled(revision);
    const two = await caller.gather("MDS", "look", "c.txt");
    assert.deepEqual([by(two.answers), two.complete, two.size], [[1, 2].map((number) => answerOf(number, "c.txt")), true, 2]);
    for (let count = 0; count < 20; count++) {
      const answer = await caller.request("MDS", "look", "d.txt");
      assert.ok([1, 2].some((number) => JSON.stringify(answer) === answerOf(number, "d.txt")));
    }
    await caller.settled(await caller.add("request-types", "MDS/look", { effect: "read" }));
  });

  test("a process that is killed with signal 9 meanwhile is missing at once, with the reason", async () => {
    const startMs = performance.now();
    const gathering = caller.gather("MDS", "look", "e.txt", { deadlineMs: 10_000 });
    await delay(200);
    servers[2]?.kill("SIGKILL");
    const { answers, missing, complete, size } = await gathering;
    assert.deepEqual([by(answers), complete, size], [[1, 2].map((number) => answerOf(number, "e.txt")), false, 3]);
    assert.deepEqual(
      missing.map(({ server, error }) => [server, error.code]),
      [["MDS.3.1", "requests/server-gone"]],
    );
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 1400, `${tookMs} ms`);
  });
});
