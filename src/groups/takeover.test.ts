import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom, silentTelemetry } from "../kernel/index.ts";
import { MemoryStore } from "../storage/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { makeEntry } from "./entry.ts";
import { GroupLog } from "./group-log.ts";
import { History } from "./history.ts";
import type { GroupWord } from "./messages.ts";
import type { Position } from "./ports.ts";
import { Takeover, isLonger } from "./takeover.ts";

const entry = (epoch: number, index: number) => makeEntry(epoch, index, { kind: "lease-ended", lease: `${epoch}.${index}` });
const members = ["B", "C"].map((server) => ({ server, replica: "0".repeat(16) }));
const base = { epoch: 0, index: 0 };
/** As somebody says it who does not know who ordered it. */
const held = (last: Position, committed = 0) => ({
  last: { at: last, by: "" },
  committed: { at: { epoch: Math.min(1, committed), index: committed }, by: "" },
  base,
});

/** Host A takes over epoch 5 with a log of these entries. */
async function scene(own: readonly (readonly [epoch: number, index: number])[]) {
  const clock = new ManualClock();
  const sent: [string, GroupWord][] = [];
  const state = { isDone: false };
  const heard: { durable: () => void } = { durable: () => {} };
  const ports = { clock, random: new SeededRandom(1), telemetry: silentTelemetry, store: new MemoryStore() };
  const log = new GroupLog(
    { ...ports, begins: () => {}, durable: () => heard.durable(), neededAfter: () => Number.POSITIVE_INFINITY },
    { logBytesMax: 10_000, logEntriesMax: 100 },
  );
  await log.open();
  for (const [epoch, index] of own) log.append(entry(epoch, index));
  const send = ({ server }: { readonly server: string }, word: GroupWord) => sent.push([server, word]);
  const takeover = new Takeover({ log, history: new History(), send, done: () => (state.isDone = true) }, 5, members);
  heard.durable = () => takeover.durable();
  takeover.start();
  const settle = async () => {
    clock.advance(0);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { log, takeover, sent, state, settle };
}

describe("a takeover", () => {
  test("nobody is asked before the own promise is durable", async () => {
    const { sent, settle, log } = await scene([]);
    assert.deepEqual(sent, []);
    await settle();
    assert.equal(log.promisedDurable, 5);
    assert.deepEqual(sent, [
      ["B", { kind: "promise" }],
      ["C", { kind: "promise" }],
    ]);
  });

  test("it waits for all, takes the longest log of theirs by epoch and then by length, and cuts its own tail", async () => {
    const { log, takeover, sent, state, settle } = await scene([
      [1, 1],
      [1, 2],
      [1, 3],
    ]);
    await settle();
    sent.length = 0;
    takeover.promised("B", held({ epoch: 1, index: 9 }, 1));
    assert.deepEqual([state.isDone, sent], [false, []]);
    takeover.promised("C", held({ epoch: 2, index: 4 }, 1));
    assert.deepEqual(sent, [["C", { kind: "fetch", after: { at: base, by: "" } }]]);
    // Of another member: not what was asked for.
    takeover.entries("B", base, [entry(1, 1)]);
    takeover.entries("C", base, [entry(1, 1), entry(2, 2)]);
    assert.deepEqual(sent.at(-1), ["C", { kind: "fetch", after: { at: { epoch: 2, index: 2 }, by: "" } }]);
    // It comes twice.
    takeover.entries("C", base, [entry(1, 1), entry(2, 2)]);
    assert.equal(state.isDone, false);
    takeover.entries("C", { epoch: 2, index: 2 }, [entry(2, 3), entry(2, 4)]);
    assert.equal(state.isDone, true);
    assert.deepEqual(
      log.entries.slice(0, 9, 1000).map(({ epoch, index }) => [epoch, index]),
      [
        [1, 1],
        [2, 2],
        [2, 3],
        [2, 4],
      ],
    );
  });

  test("a host that has committed what the longest log lacks, or has not, is outrun; it takes nothing from it", async () => {
    for (const answer of [[], [entry(2, 1)]]) {
      const { log, takeover, sent, state, settle } = await scene([[1, 1]]);
      log.install({ epoch: 1, index: 1 }, []);
      await settle();
      takeover.promised("B", held(base));
      takeover.promised("C", held({ epoch: 2, index: 4 }, 0));
      assert.deepEqual(sent.at(-1), ["C", { kind: "fetch", after: { at: { epoch: 1, index: 1 }, by: "" } }]);
      assert.equal(takeover.isOutrun, false);
      takeover.entries("C", answer.length === 0 ? { epoch: 1, index: 1 } : base, answer);
      takeover.beat(0);
      assert.deepEqual([takeover.isOutrun, state.isDone, log.entries.last], [true, false, { epoch: 1, index: 1 }]);
    }
  });

  test("a host whose log ends before anything that the others keep as entries is outrun", async () => {
    const { takeover, state, settle } = await scene([[1, 1]]);
    await settle();
    takeover.promised("B", held(base));
    takeover.promised("C", { ...held({ epoch: 2, index: 9 }), base: { epoch: 2, index: 7 } });
    assert.deepEqual([takeover.isOutrun, state.isDone], [true, false]);
  });

  test("a member that has committed what the longest log lacks is to be left out, and nothing begins with it", async () => {
    const { takeover, state, settle } = await scene([
      [1, 1],
      [3, 2],
    ]);
    await settle();
    takeover.promised("B", held({ epoch: 1, index: 1 }, 1));
    takeover.promised("C", { ...held({ epoch: 2, index: 2 }), committed: { at: { epoch: 2, index: 2 }, by: "" } });
    assert.equal(state.isDone, false);
    assert.deepEqual(
      [...takeover.others].map(({ isParted }) => isParted),
      [false, true],
    );
  });

  test("a server that is no member of the epoch promises nothing", async () => {
    const { takeover, state, settle } = await scene([[1, 1]]);
    await settle();
    takeover.promised("D", held({ epoch: 4, index: 9 }));
    takeover.promised("B", held({ epoch: 1, index: 1 }));
    assert.equal(state.isDone, false);
    takeover.promised("C", held(base));
    assert.equal(state.isDone, true);
  });

  test("the later epoch is longer than any length", () => {
    assert.ok(isLonger({ epoch: 3, index: 1 }, { epoch: 2, index: 9 }));
    assert.ok(isLonger({ epoch: 2, index: 9 }, { epoch: 2, index: 8 }));
    assert.ok(!isLonger({ epoch: 2, index: 9 }, { epoch: 2, index: 9 }));
  });
});
