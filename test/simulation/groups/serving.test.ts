import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GroupHooks, GroupRequest, GroupServeOptions } from "../../../src/fleet/index.ts";
import type { StateRow } from "../../../src/groups/index.ts";
import { isRecord } from "../../../src/kernel/index.ts";
import { anyReplica } from "../../../src/tables/index.ts";
import { GroupStage } from "./stage.ts";

describe("a state of one's own", () => {
  /** A list of words, each a row. */
  class Words implements GroupHooks {
    readonly words: string[] = [];
    #ahead: string[] = [];

    execute({ body }: GroupRequest) {
      this.#ahead.push(String(body));
      if (body === "too much") return { answer: new Uint8Array(5 * 1024 * 1024), delta: Buffer.from(body) };
      return { answer: this.words.length + this.#ahead.length, delta: Buffer.from(String(body)) };
    }

    install(_index: number, delta: Uint8Array) {
      this.#ahead.shift();
      this.words.push(Buffer.from(delta).toString());
      return [{ key: String(this.words.length).padStart(6, "0"), bytes: delta }];
    }

    discard(): void {
      this.#ahead = [];
    }

    snapshot() {
      return this.words.map((word, at) => ({ key: String(at + 1).padStart(6, "0"), bytes: Buffer.from(word) }));
    }

    restore(rows: Iterable<StateRow>): void {
      this.words.splice(0);
      for (const { bytes } of [...rows].toSorted((a, b) => (a.key < b.key ? -1 : 1))) this.words.push(Buffer.from(bytes).toString());
    }
  }

  test("is kept by its own hooks, at all members, over restarts", async () => {
    const stage = new GroupStage();
    const { fleet } = stage;
    await fleet.start();
    const machines = new Map<string, Words>();
    const serve = async (name: string) => {
      const machine = new Words();
      machines.set(name, machine);
      const types: GroupServeOptions["types"] = { say: { effect: "write" }, all: { effect: "read", handle: () => machine.words } };
      const options = { port: 0, group: { data: "words", machine }, types };
      stage.members.set(name, await fleet.until(fleet.member(name).handle.serve("metadata", stage.keyOf(name), options)));
    };
    for (const name of ["s1", "s2", "s3"]) await serve(name);
    await stage.untilMembers(["s1", "s2", "s3"]);
    for (const [at, word] of ["a", "b", "c"].entries()) assert.equal((await fleet.until(stage.ask("MDS.1", "say", word))).answer, at + 1);
    await fleet.runFor(500);
    // An answer that nobody can be told: what the hooks did is void.
    assert.equal((await fleet.until(stage.ask("MDS.1", "say", "too much"))).error?.code, "groups/bad-result");
    for (const { words } of machines.values()) assert.deepEqual(words, ["a", "b", "c"]);
    assert.equal((await fleet.until(stage.ask("MDS.1", "say", "d"))).answer, 4);
    await fleet.runFor(500);
    fleet.member("s2").restart();
    await stage.until(() => fleet.member("s2").node.isReady && !fleet.member("s2").node.detached);
    await serve("s2");
    await stage.untilMembers(["s1", "s2", "s3"]);
    assert.deepEqual((await fleet.until(stage.ask("MDS.1", "all", null))).answer, ["a", "b", "c", "d"]);
    assert.deepEqual(machines.get("s2")?.words, ["a", "b", "c", "d"]);
  });
});

describe("a server that holds what its group lacks", () => {
  test("keeps its copy and says so on the roll, where lookups pass over it, until somebody decides", async () => {
    const stage = new GroupStage();
    const { fleet } = stage;
    await fleet.start();
    for (const name of ["s1", "s2"]) await stage.serve(name);
    await stage.untilMembers(["s1", "s2"]);
    await fleet.until(stage.add("a", 5));
    fleet.member("s1").crash();
    await stage.untilMembers(["s2"]);
    await fleet.until(stage.add("a", 7));
    await fleet.runFor(300);
    fleet.member("s2").crash();
    const client = fleet.client("caller");
    await stage.until(() => client.get("metadata", "MDS.1.2")?.valid !== true);
    // As a roll that was put back from before there was a group.
    await fleet.until(client.change([{ op: "delete", table: "groups", key: "metadata/MDS.1", force: true }]));
    await stage.restart("s1");
    await stage.untilMembers(["s1"]);
    await fleet.until(stage.add("a", 1));
    await stage.restart("s2");
    const stateOf = () => client.get("states", "metadata/MDS.1.2")?.value;
    await stage.until(() => stateOf() !== undefined);
    const said = stateOf();
    assert.ok(isRecord(said));
    assert.equal(said["state"], "apart");
    assert.match(String(said["reason"]), /holds what the group lacks.*promote .*--accept-loss.*empty directory/);
    assert.match(JSON.stringify(await fleet.until(client.query("why", { key: "MDS.1.2" }))), /it is apart since/);
    await fleet.runFor(3000);
    assert.deepEqual(stage.row?.members, ["MDS.1.1"]);
    const { row } = stage;
    assert.ok(row);
    const chosen = { members: [{ server: "MDS.1.2", replica: anyReplica }], synchronising: "MDS.1.2", copiesMin: 1 };
    await fleet.until(
      client.change([{ op: "add", table: "groups", key: "metadata/MDS.1", value: { epoch: row.epoch + 1, ...chosen }, valid: true }]),
    );
    await stage.untilMembers(["s1", "s2"]);
    await stage.until(() => stateOf() === undefined);
    for (const name of ["s1", "s2"]) assert.equal(await stage.at(name, "a"), 12);
  });
});

describe("what is refused", () => {
  test("the directory of another server, a key without an instance, a reserved type, a type without a handler", async () => {
    const stage = await new GroupStage().open();
    const { fleet } = stage;
    await fleet.until(stage.members.get("s3")?.close() ?? Promise.resolve());
    const { handle } = fleet.member("s3");
    const types = { look: { effect: "read", handle: () => null } } as const;
    const served = (key: string, data: string, more = types) =>
      fleet.until(handle.serve("metadata", key, { port: 0, group: { data }, types: more }));
    await assert.rejects(served("MDS.1.4", "state"), { code: "fleet/foreign-data" });
    await assert.rejects(served("MDS.2.3", "state"), { code: "fleet/foreign-data" });
    await assert.rejects(served("MDS", "other"), { code: "fleet/not-in-a-group" });
    const reserved = { "muster.look": types.look };
    await assert.rejects(fleet.until(handle.serve("metadata", "MDS.1.4", { port: 0, group: { data: "x" }, types: reserved })), {
      code: "fleet/reserved-type",
    });
    const idle = { act: { effect: "write" } } as const;
    await assert.rejects(fleet.until(handle.serve("metadata", "MDS.1.4", { port: 0, group: { data: "x" }, types: idle })), {
      code: "fleet/bad-group",
    });
    assert.equal(fleet.client("directory").get("metadata", "MDS.1.4"), undefined);
    await served("MDS.1.3", "state");
  });
});
