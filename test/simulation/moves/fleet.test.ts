import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GroupRequestOptions, GroupServeOptions, ServedMember } from "../../../src/fleet/index.ts";
import { type JsonValue, MusterError, isRecord } from "../../../src/kernel/index.ts";
import type { RequestBody } from "../../../src/requests/index.ts";
import { ownerOf, parsePartitionRow, partitionRowValue, slotOf, spreadOver, withMoves } from "../../../src/tables/index.ts";
import { SimFleet } from "../../../src/testing/index.ts";

const decoder = new TextDecoder();
const programs = ["s11", "s12", "s21", "s22"] as const;

/** Two service instances of two servers each, which share the keys of MDS; the roll, the requests and the callers are the real ones. */
class Stage {
  readonly fleet = new SimFleet({ seed: 1 });
  readonly members = new Map<string, ServedMember>();
  /** Of each handler that ran, the write's name. */
  readonly ran: string[] = [];

  async open(map = true): Promise<this> {
    const { fleet } = this;
    fleet.addDirectory();
    for (const name of programs) {
      fleet.addAgent(`HOST${name}`);
      fleet.addClient(name, { agent: `HOST${name}` });
    }
    fleet.addAgent("HOST9");
    fleet.addClient("caller", { agent: "HOST9" });
    await fleet.start();
    for (const name of programs) await fleet.until(this.serve(name));
    await this.until(() => [1, 2].every((number) => this.row(number)?.members.length === 2));
    if (map) await this.writeMap(spreadOver(["MDS.1", "MDS.2"]));
    return this;
  }

  async serve(name: string, options: Partial<GroupServeOptions["group"]> = {}): Promise<void> {
    const { handle } = this.fleet.member(name);
    const types: GroupServeOptions["types"] = {
      add: {
        effect: "write",
        orderingKey: "key",
        handle: (body, { state, requestId }) => {
          this.ran.push(requestId);
          const { key, by } = orderOf(body);
          const count = countIn(state.get(key)) + by;
          state.put(key, Buffer.from(String(count)));
          return count;
        },
      },
      get: { effect: "read", orderingKey: "key", handle: (body, { state }) => countIn(state.get(orderOf(body).key)) },
      all: { effect: "read", handle: (_body, { state }) => state.list("").map(({ key }) => key) },
    };
    const key = `MDS.${name[1] ?? ""}.${name[2] ?? ""}`;
    this.members.set(name, await handle.serve("metadata", key, { port: 0, group: { data: "state", byKey: true, ...options }, types }));
  }

  row(instance: number): { readonly members: readonly JsonValue[]; readonly synchronising: string } | undefined {
    const value = this.fleet.client("directory").get("groups", `metadata/MDS.${instance}`)?.value;
    if (!isRecord(value) || !Array.isArray(value["members"])) return undefined;
    return { members: value["members"], synchronising: String(value["synchronising"]) };
  }

  get map() {
    const value = this.fleet.client("directory").get("partitions", "metadata/MDS")?.value;
    assert.ok(value !== undefined);
    return parsePartitionRow(value);
  }

  async writeMap(row: ReturnType<typeof spreadOver>): Promise<void> {
    await this.fleet.until(this.fleet.client("caller").add("partitions", "metadata/MDS", partitionRowValue(row)));
  }

  async move(key: string, to: string): Promise<void> {
    const next = withMoves(this.map, [slotOf(key)], to);
    assert.ok(next !== undefined);
    await this.writeMap(next);
    await this.until(() => ownerOf(this.map, slotOf(key))?.instance === to && this.map.moves.length === 0);
  }

  ownerOf(key: string): string {
    return ownerOf(this.map, slotOf(key))?.instance ?? "";
  }

  otherThan(instance: string): string {
    return instance === "MDS.1" ? "MDS.2" : "MDS.1";
  }

  async until(holds: () => boolean, limitMs = 10_000): Promise<void> {
    const { world } = this.fleet;
    assert.ok(await world.runUntil(holds, world.nowMs + limitMs), `not within ${limitMs} ms`);
  }

  begin(key: string, type: string, body: JsonValue, options: GroupRequestOptions = {}): Promise<RequestBody | MusterError> {
    return this.fleet
      .client("caller")
      .request(key, type, body, options)
      .catch((error: MusterError) => error);
  }

  ask(type: string, body: JsonValue, options: GroupRequestOptions = {}): Promise<RequestBody | MusterError> {
    return this.fleet.until(this.begin("MDS", type, body, options));
  }

  add(key: string, by = 1): Promise<RequestBody | MusterError> {
    return this.ask("add", { key, by });
  }
}

function orderOf(body: RequestBody): { readonly key: string; readonly by: number } {
  assert.ok(isRecord(body));
  return { key: String(body["key"]), by: Number(body["by"]) };
}

function countIn(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : Number(decoder.decode(bytes));
}

function codeOf(answer: RequestBody | MusterError): string {
  return answer instanceof MusterError ? `${answer.code} ${answer.effect}` : JSON.stringify(answer);
}

describe("keys that groups share", () => {
  test("a request goes to the group that has its key, whichever instance was named; by the body or by what the caller says", async () => {
    const stage = await new Stage().open();
    assert.equal(await stage.add("a"), 1);
    assert.equal(await stage.fleet.until(stage.begin("MDS.1", "add", { key: "a", by: 1 })), 2);
    assert.equal(await stage.fleet.until(stage.begin("MDS.2.1", "add", { key: "a", by: 1 })), 3);
    assert.equal(await stage.ask("get", { key: "a" }), 3);
    assert.equal(await stage.ask("get", { key: "a" }, { consistency: "latest" }), 3);
    assert.deepEqual(await stage.ask("all", null, { key: "a" }), ["a"]);
    assert.equal(codeOf(await stage.ask("all", null)), "fleet/no-key none");
    assert.equal(codeOf(await stage.ask("get", { key: "" })), "fleet/bad-key none");
  });

  test("before there is a map a write is refused at once, and nothing has happened; with it the same program goes on", async () => {
    const stage = await new Stage().open(false);
    const early = await stage.ask("add", { key: "a", by: 1 }, { key: "a" });
    assert.equal(codeOf(early), "groups/no-slot none");
    await stage.writeMap(spreadOver(["MDS.1", "MDS.2"]));
    assert.equal(await stage.add("a"), 1);
    assert.equal(stage.ran.length, 1);
  });

  test("a handler sees the rows of its own slot only", async () => {
    const stage = await new Stage().open();
    const keys = ["a", "b", "c", "d", "e"];
    for (const key of keys) await stage.add(key);
    for (const key of keys) assert.deepEqual(await stage.ask("all", null, { key }), [key]);
  });

  test("a key moves with its state while writes go on: each increment once, in one order", async () => {
    const stage = await new Stage().open();
    const from = stage.ownerOf("a");
    await stage.add("a", 10);
    const counts: (RequestBody | MusterError)[] = [];
    let goesOn = true;
    const write = async (): Promise<void> => {
      while (goesOn) counts.push(await stage.begin("MDS", "add", { key: "a", by: 1 }));
    };
    const writers = [write(), write(), write()];
    for (const to of [stage.otherThan(from), from, stage.otherThan(from)]) {
      await stage.fleet.world.runFor(20);
      await stage.move("a", to);
    }
    await stage.fleet.world.runFor(20);
    goesOn = false;
    await stage.fleet.until(Promise.all(writers));
    const sorted = counts.map(Number).toSorted((a, b) => a - b);
    assert.deepEqual(
      sorted,
      Array.from(sorted, (_, at) => 11 + at),
    );
    assert.ok(sorted.length > 20, `${sorted.length} writes`);
    assert.equal(await stage.ask("get", { key: "a" }, { consistency: "latest" }), 10 + sorted.length);
    assert.equal(await stage.ask("get", { key: "a" }), 10 + sorted.length);
  });

  test("what became of a write is told by the group that has its key now", async () => {
    const stage = await new Stage().open();
    const from = stage.ownerOf("a");
    await stage.add("a", 5);
    const [name = ""] = stage.ran;
    // Its caller has the answer, and has said so with nothing yet: the outcome goes along.
    await stage.move("a", stage.otherThan(from));
    assert.deepEqual(await stage.fleet.until(stage.fleet.client("s11").outcome(name)), { kind: "answer", answer: 5 });
  });

  test("the synchronising server of the old group dies in the middle of a move, and that of the new one", async () => {
    const stage = await new Stage().open();
    const from = stage.ownerOf("a");
    const to = stage.otherThan(from);
    for (const key of ["a", "b", "c"]) await stage.add(key, 7);
    const dead = [from, to].map((instance) => {
      const server = stage.row(Number(instance.slice(4)))?.synchronising ?? "";
      return `s${server.slice(4).replace(".", "")}`;
    });
    const next = withMoves(stage.map, ["a", "b", "c"].map(slotOf), to);
    assert.ok(next !== undefined);
    await stage.writeMap(next);
    for (const name of dead) stage.fleet.member(name).crash();
    await stage.until(() => stage.map.moves.length === 0, 30_000);
    for (const key of ["a", "b", "c"]) {
      assert.equal(stage.ownerOf(key), to);
      assert.equal(await stage.add(key), 8);
    }
  });

  test("a server that keeps its state otherwise than its data was written is refused", async () => {
    const stage = await new Stage().open();
    await stage.add("a");
    const [name] = programs;
    stage.fleet.member(name).restart();
    await stage.until(() => stage.fleet.member(name).node.isReady && !stage.fleet.member(name).node.detached);
    await assert.rejects(stage.fleet.until(stage.serve(name, { byKey: false })), { code: "groups/other-kind" });
  });

  test("a map does not go back, and what is on its way stays so", async () => {
    const stage = await new Stage().open();
    const from = stage.ownerOf("a");
    const before = stage.map;
    await stage.move("a", stage.otherThan(from));
    await assert.rejects(stage.writeMap(before), { code: "roll/partition-step" });
    const next = withMoves(stage.map, [slotOf("a")], from);
    assert.ok(next !== undefined);
    await stage.writeMap(next);
    await assert.rejects(stage.writeMap({ ...next, revision: next.revision + 1, moves: [] }), { code: "roll/partition-step" });
    await assert.rejects(stage.fleet.until(stage.fleet.client("caller").delete("partitions", "metadata/MDS")), {
      code: "roll/partition-stays",
    });
    await stage.until(() => stage.map.moves.length === 0);
    const nowhere = withMoves(stage.map, [slotOf("a")], "MDS.9");
    assert.ok(nowhere !== undefined);
    await assert.rejects(stage.writeMap(nowhere), { code: "roll/no-such-group" });
  });
});
