import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UnknownOutcome } from "../../../src/fleet/index.ts";
import { GroupStage, code } from "./stage.ts";

describe("asking for the outcome", () => {
  /** A write whose program cannot be reached in time, and its name. */
  async function unknownWrite(stage: GroupStage): Promise<string> {
    stage.workMs = 600;
    const { error } = await stage.fleet.until(stage.add("a", 1, { deadlineMs: 200 }));
    assert.ok(error instanceof UnknownOutcome, code(error));
    assert.equal(code(error), "requests/unknown maybe");
    return error.requestId;
  }

  test("[MRT-7] a write that was unknown at its deadline has one outcome, whoever asks and how often", async () => {
    const stage = await new GroupStage().open();
    const requestId = await unknownWrite(stage);
    const { fleet } = stage;
    const outcome = await fleet.until(fleet.client("caller").outcome(requestId));
    assert.deepEqual(outcome, { kind: "answer", answer: 1 });
    assert.deepEqual(await fleet.until(fleet.client("s3").outcome(requestId)), outcome);
  });

  test("a write that nobody has begun is abandoned by the question, and never runs", async () => {
    const stage = await new GroupStage().open();
    stage.workMs = 700;
    void stage.add("b");
    await stage.fleet.runFor(20);
    stage.workMs = 0;
    const { error } = await stage.fleet.until(stage.add("a", 1, { deadlineMs: 200 }));
    assert.ok(error instanceof UnknownOutcome);
    const outcome = await stage.fleet.until(stage.fleet.client("caller").outcome(error.requestId));
    assert.deepEqual(outcome, { kind: "abandoned" });
    await stage.fleet.runFor(2000);
    assert.equal((await stage.fleet.until(stage.add("a"))).answer, 1);
  });

  test("of a program that has gone nothing is kept: expired", async () => {
    const stage = await new GroupStage().open();
    await stage.fleet.until(stage.add("a"));
    const requestId = await unknownWrite(stage);
    stage.fleet.member("caller").crash();
    await stage.fleet.runFor(3000);
    assert.equal(stage.fleet.client("directory").search("leases").length, 0);
    assert.deepEqual(await stage.fleet.until(stage.fleet.client("s1").outcome(requestId)), { kind: "expired" });
  });

  test("a name that is none is refused; nobody to ask is said at the deadline", async () => {
    const stage = await new GroupStage().open();
    const { fleet } = stage;
    await assert.rejects(fleet.until(fleet.client("caller").outcome("17")), { code: "fleet/bad-request-id" });
    const elsewhere = `${"a".repeat(32)}@1.5:1:metadata/MDS.9`;
    await assert.rejects(fleet.until(fleet.client("caller").outcome(elsewhere, { deadlineMs: 300 })), {
      code: "requests/deadline-exceeded",
    });
  });
});

describe("reads of an ordering group", () => {
  test("`session`: a program sees its own writes, whichever member answers, and nothing runs backwards", async () => {
    const stage = await new GroupStage().open();
    const asked: string[] = [];
    for (let count = 1; count <= 30; count++) {
      assert.equal((await stage.fleet.until(stage.add("a"))).answer, count);
      const server = `MDS.1.${1 + (count % 3)}`;
      const { answer, error } = await stage.fleet.until(stage.ask(count % 2 === 0 ? "MDS.1" : server, "get", "a"));
      assert.equal(answer, count, code(error));
      asked.push(server);
    }
  });

  test("`latest`: another program sees every write that was answered, also at once after the synchronising host was killed", async () => {
    const stage = await new GroupStage().open();
    for (const type of ["exact", "get"]) {
      const consistency = type === "get" ? ({ consistency: "latest" } as const) : {};
      const before = Number((await stage.fleet.until(stage.add("a"))).answer);
      assert.equal((await stage.fleet.until(stage.ask("MDS.1", type, "a", consistency, "s3"))).answer, before);
    }
    for (const server of ["MDS.1.1", "MDS.1.2", "MDS.1.3"]) {
      const { answer } = await stage.fleet.until(stage.add("a"));
      assert.equal((await stage.fleet.until(stage.ask(server, "exact", "a", {}, "s3"))).answer, answer);
      assert.equal((await stage.fleet.until(stage.ask(server, "get", "a", { consistency: "latest" }))).answer, answer);
    }
    assert.equal((await stage.fleet.until(stage.ask("MDS.1", "nothing", "a"))).answer, null);
    const { leader } = stage;
    const program = leader === "s1" ? "s2" : "s1";
    const written = await stage.fleet.until(stage.add("a"));
    stage.fleet.member(leader).crash();
    const read = await stage.fleet.until(stage.ask("MDS.1", "get", "a", { consistency: "latest" }, program));
    assert.equal(read.answer, written.answer, code(read.error));
  });

  test("`latest` at a synchronising host that is cut off and does not know of its successor answers nothing old", async () => {
    const stage = await new GroupStage().open();
    const { fleet, leader } = stage;
    const host = `HOST${leader.slice(1)}`;
    for (const other of ["HOST1", "HOST2", "HOST3", "HOST4", "directory"]) if (other !== host) fleet.network.cut(host, other);
    const read = stage.ask("MDS.1", "get", "a", { consistency: "latest", deadlineMs: 3000 }, leader);
    await stage.until(() => stage.leader !== leader);
    const written = await fleet.until(stage.add("a"));
    assert.equal(written.answer, 1);
    assert.equal((await fleet.until(read)).answer, undefined);
  });
});
