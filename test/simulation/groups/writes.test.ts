import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Ending, GroupStage, code } from "./stage.ts";

/** Writes as fast as `everyMs` until `act` is through and a second more; all endings. */
async function under(stage: GroupStage, everyMs: number, act: () => Promise<void>): Promise<readonly Ending[]> {
  const asked: Promise<Ending>[] = [];
  let goesOn = true;
  const next = () => {
    if (!goesOn) return;
    asked.push(stage.add("a", 1, { deadlineMs: 8000 }));
    stage.fleet.world.after(everyMs, next);
  };
  next();
  await stage.fleet.runFor(200);
  await act();
  await stage.fleet.runFor(1000);
  goesOn = false;
  return stage.fleet.until(Promise.all(asked), 20_000);
}

/** Each increment happened once, and nobody was told otherwise. */
function assertExact(endings: readonly Ending[], floor: number): void {
  assert.deepEqual(
    endings.filter(({ error }) => error !== undefined).map(({ error }) => `${error?.code}: ${error?.message}`),
    [],
  );
  const answers = endings.map(({ answer }) => Number(answer)).toSorted((a, b) => a - b);
  assert.deepEqual(
    answers,
    Array.from(answers, (_, at) => at + 1),
  );
  assert.ok(answers.length >= floor, `${answers.length} writes`);
}

describe("writes of an ordering group", () => {
  test("[MRT-5] a write has one answer, and all members show what it did", async () => {
    const stage = await new GroupStage().open();
    const endings = await stage.fleet.until(Promise.all([1, 2, 3, 4].map(() => stage.add("a"))));
    assertExact(endings, 4);
    await stage.fleet.runFor(500);
    for (const name of ["s1", "s2", "s3"]) assert.equal(await stage.at(name, "a"), 4);
    for (const runs of stage.runs.values()) assert.equal(runs, 1);
  });

  test("[MRT-6] a request lies at every member, and with its outcome it is gone from each", async () => {
    const stage = await new GroupStage().open();
    stage.workMs = 300;
    const asked = stage.add("a");
    await stage.fleet.runFor(200);
    const queued = () => [...stage.members.values()].map(({ group }) => group.status().queued);
    assert.deepEqual(queued(), [1, 1, 1]);
    assert.equal((await stage.fleet.until(asked)).answer, 1);
    await stage.fleet.runFor(100);
    assert.deepEqual(queued(), [0, 0, 0]);
    await stage.fleet.runFor(5000);
    assert.equal([...stage.runs.values()].join(), "1");
  });

  test("[MRT-7] the synchronising program is killed: its successor goes on with what lies at the members, and none is lost or made twice", async (context) => {
    const stage = await new GroupStage().open();
    stage.workMs = 3;
    let gapMs = 0;
    const endings = await under(stage, 4, async () => {
      const { leader } = stage;
      const killedMs = stage.nowMs;
      stage.fleet.member(leader).crash();
      await stage.until(() => stage.leader !== leader && stage.members.get(stage.leader)?.group.status().role === "serving");
      gapMs = stage.nowMs - killedMs;
    });
    assertExact(endings, 200);
    context.diagnostic(`${gapMs.toFixed(1)} ms without anybody who orders`);
    assert.ok(gapMs < 100, `${gapMs} ms`);
  });

  test("[MRT-7] the synchronising host falls silent: the same, when the roll gives it up", async () => {
    const stage = await new GroupStage().open();
    const endings = await under(stage, 10, async () => {
      const { leader } = stage;
      const host = `HOST${leader.slice(1)}`;
      stage.fleet.member(leader).crash("silent");
      stage.fleet.member(host).crash("silent");
      await stage.until(() => stage.leader !== leader);
    });
    assertExact(endings, 80);
  });

  test("[MRT-8] a server that comes back catches up before it counts again, and then holds everything", async () => {
    const stage = await new GroupStage().open({ copiesMin: 1 });
    const { leader } = stage;
    const [first = "", second = ""] = ["s1", "s2", "s3"].filter((name) => name !== leader);
    stage.fleet.member(first).crash();
    await stage.untilMembers([leader, second]);
    assertExact(await stage.fleet.until(Promise.all(Array.from({ length: 50 }, () => stage.add("a")))), 50);
    const epoch = stage.row?.epoch ?? 0;
    await stage.restart(first);
    await stage.untilMembers(["s1", "s2", "s3"]);
    assert.ok((stage.row?.epoch ?? 0) > epoch);
    // The others are gone: what it knows is all there is.
    stage.fleet.member(leader).crash();
    await stage.untilMembers([first, second]);
    stage.fleet.member(second).crash();
    await stage.untilMembers([first]);
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 51);
  });

  test("[MRT-8] a server whose disk is lost comes back empty, and is made whole before it counts", async () => {
    const stage = await new GroupStage().open();
    const { leader } = stage;
    assertExact(await stage.fleet.until(Promise.all(Array.from({ length: 20 }, () => stage.add("a")))), 20);
    const replica = stage.members.get(leader)?.group.status().replica;
    stage.fleet.member(leader).crash();
    stage.fleet.diskOf(`HOST${leader.slice(1)}`, "state").lose();
    await stage.until(() => stage.leader !== leader);
    await stage.restart(leader);
    await stage.untilMembers(["s1", "s2", "s3"]);
    assert.notEqual(stage.members.get(leader)?.group.status().replica, replica);
    await stage.fleet.runFor(500);
    assert.equal(await stage.at(leader, "a"), 20);
  });

  test("when all are gone nobody orders; with the last one's data everything is there again", async () => {
    const stage = await new GroupStage().open({ copiesMin: 1 });
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 1);
    const last = stage.leader;
    for (const name of ["s1", "s2", "s3"].filter((one) => one !== last)) stage.fleet.member(name).crash();
    await stage.untilMembers([last]);
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 2);
    stage.fleet.member(last).crash();
    await stage.fleet.runFor(500);
    const [other = ""] = ["s1", "s2", "s3"].filter((one) => one !== last);
    await stage.restart(other);
    const early = await stage.fleet.until(stage.add("a", 1, { deadlineMs: 1000 }));
    assert.equal(code(early.error).split(" ")[0], "requests/deadline-exceeded");
    await stage.restart(last);
    await stage.untilMembers([last, other].toSorted());
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 3);
  });

  test("a server that closes hands over in good order: no write fails, and none waits for a timeout", async () => {
    const stage = await new GroupStage().open();
    stage.workMs = 2;
    const endings = await under(stage, 5, async () => {
      const { leader } = stage;
      await stage.fleet.until(stage.members.get(leader)?.close() ?? Promise.reject(new Error("no leader")));
      assert.notEqual(stage.leader, leader);
      assert.equal(stage.fleet.client("directory").get("metadata", stage.keyOf(leader)), undefined);
    });
    assertExact(endings, 150);
    assert.equal(stage.row?.members.length, 2);
  });

  test("what a handler throws is the outcome: it keeps code and message, and nothing has changed", async () => {
    const stage = await new GroupStage().open();
    const { error } = await stage.fleet.until(stage.add("a", 0));
    assert.equal(code(error), "stage/nothing none");
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 1);
  });

  test("with fewer members than it must have it refuses; a write waits for another one, and never ran when none has come by its deadline", async () => {
    const stage = await new GroupStage().open({ copiesMin: 2 });
    const { leader } = stage;
    const [first = "", second = ""] = ["s1", "s2", "s3"].filter((one) => one !== leader);
    for (const name of [first, second]) stage.fleet.member(name).crash();
    await stage.untilMembers([leader]);
    await stage.fleet.runFor(20);
    const { error } = await stage.fleet.until(stage.add("a", 1, { deadlineMs: 400 }));
    assert.equal(code(error), "groups/too-few-copies none");
    const waiting = stage.add("a", 1, { deadlineMs: 20_000 });
    await stage.fleet.runFor(300);
    await stage.restart(first);
    assert.equal((await stage.fleet.until(waiting)).answer, 1);
  });

  test("without a word about it, a group that has had three members needs two for its writes", async () => {
    const stage = await new GroupStage().open();
    const { leader } = stage;
    const [first = "", second = ""] = ["s1", "s2", "s3"].filter((one) => one !== leader);
    stage.fleet.member(first).crash();
    await stage.untilMembers([leader, second]);
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 1);
    stage.fleet.member(second).crash();
    await stage.untilMembers([leader]);
    await stage.fleet.runFor(20);
    assert.equal(code((await stage.fleet.until(stage.add("a", 1, { deadlineMs: 400 }))).error), "groups/too-few-copies none");
    await stage.restart(first);
    await stage.until(() => stage.row?.members.length === 2);
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 2);
  });

  test("a key of one server, of the service, or of a partition leads to the group; a caller's opinion that it reads does not count", async () => {
    const stage = await new GroupStage().open();
    await stage.fleet.until(stage.fleet.client("directory").add("metadata-partition", "1", "MDS.1"));
    await stage.fleet.runFor(20);
    const asked = [
      stage.ask("MDS.1.2", "add", { key: "a", by: 1, number: 71 }, { effect: "read" }),
      stage.ask("MDS", "add", { key: "a", by: 1, number: 72 }),
      stage.ask("1", "add", { key: "a", by: 1, number: 73 }, { table: "metadata-partition" }),
    ];
    assertExact(await stage.fleet.until(Promise.all(asked)), 3);
    for (const number of [71, 72, 73]) assert.equal(stage.runs.get(number), 1);
    assert.equal((await stage.fleet.until(stage.ask("1", "get", "a", { table: "metadata-partition" }))).answer, 3);
    assert.equal((await stage.fleet.until(stage.ask("MDS", "get", "a"))).answer, 3);
  });

  test("three servers that start at once are one group", async () => {
    const stage = new GroupStage();
    await stage.fleet.start();
    const serving = ["s1", "s2", "s3"].map((name) => stage.begin(name));
    await stage.fleet.until(Promise.all(serving));
    await stage.untilMembers(["s1", "s2", "s3"]);
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 1);
  });

  test("a program writes before there is any group: a server orders it, as soon as there is one", async () => {
    const stage = new GroupStage();
    await stage.fleet.start();
    const serving = stage.begin("s1");
    await stage.until(() => stage.fleet.client("caller").get("metadata", "MDS.1.1")?.valid === true);
    assert.equal(stage.fleet.client("caller").search("groups").length, 0);
    const asked = stage.add("a");
    await stage.fleet.until(serving);
    assert.equal((await stage.fleet.until(asked)).answer, 1);
    assert.equal([...stage.runs.values()].join(), "1");
  });

  test("a write that somebody declares as a read is refused: copies of it would each be ordered", async () => {
    const stage = await new GroupStage().open();
    await stage.fleet.until(stage.fleet.client("directory").add("request-types", "MDS/add", { effect: "read" }));
    await stage.fleet.runFor(20);
    assert.equal(code((await stage.fleet.until(stage.add("a"))).error), "fleet/not-a-read maybe");
    assert.equal(stage.runs.size, 0);
  });

  test("a program that ends takes its lease along; one that the roll gave up by mistake goes on under another", async () => {
    const stage = await new GroupStage().open();
    const { fleet } = stage;
    const leases = () => fleet.client("directory").search("leases");
    assert.equal((await fleet.until(stage.add("a"))).answer, 1);
    assert.equal(leases().length, 1);
    const [lease] = leases();
    await fleet.until(fleet.client("directory").delete("leases", lease?.key ?? "", { force: true }));
    await fleet.runFor(50);
    assert.equal((await fleet.until(stage.add("a"))).answer, 2);
    assert.equal(leases().length, 1);
    assert.notEqual(leases()[0]?.key, lease?.key);
    await fleet.until(fleet.client("caller").close());
    await fleet.runFor(50);
    assert.equal(leases().length, 0);
  });

  test("what a caller gives up may run, and is ended for it at once; a deadline in which nothing was sent says that nothing ran", async () => {
    const stage = await new GroupStage().open();
    stage.workMs = 100;
    const given = new AbortController();
    const asked = stage.add("a", 1, { signal: given.signal });
    await stage.fleet.runFor(20);
    given.abort(new Error("enough"));
    assert.equal(code((await stage.fleet.until(asked)).error), "requests/aborted maybe");
    stage.workMs = 0;
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 2);
    for (const name of ["s1", "s2", "s3"]) stage.fleet.member(name).crash();
    await stage.fleet.runFor(2000);
    assert.equal(code((await stage.fleet.until(stage.add("a", 1, { deadlineMs: 300 }))).error), "requests/deadline-exceeded none");
  });
});
