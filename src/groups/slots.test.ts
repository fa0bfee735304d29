import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { makeEntry, readEntry } from "./entry.ts";
import { groupLimits } from "./options.ts";
import { Outcomes } from "./outcomes.ts";
import { SlottedState } from "./slotted-state.ts";
import { type SlotContents, installStep, partOf } from "./slot-part.ts";
import { type SlotPart, type SlotStep, readSlotPart, writeSlotPart } from "./slot-step.ts";
import { Slots, decodeSlots } from "./slots.ts";
import { tables } from "./store-tables.ts";

const nothing = new Uint8Array();
const part: SlotPart = { rows: [], cursor: "", at: 3, isLast: true, digest: nothing };
const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString());

function group(): SlotContents & { readonly state: SlottedState } {
  const state = new SlottedState({
    handlers: {
      put: (body, rows) => {
        rows.put("k", body);
        return body;
      },
      list: (_body, rows) =>
        Buffer.from(
          rows
            .list("")
            .map(({ key }) => key)
            .join(","),
        ),
    },
  });
  return { slots: new Slots(), outcomes: new Outcomes(groupLimits), rows: state, state };
}

const step = (to: SlotContents, index: number, one: SlotStep): void => void installStep(to, { epoch: 1, index }, one);

/** One write of a slot, with its outcome. */
async function write(to: ReturnType<typeof group>, slot: number, sequence: number, body: string, index: number, low = 1): Promise<void> {
  const id = { lease: "caller", sequence };
  const { outcome, delta } = await to.state.execute({ type: "put", body: Buffer.from(body), id, slot, index });
  to.state.install(index, delta);
  const answer = { kind: "answer", bytes: outcome } as const;
  const entry = { kind: "request", id, slot, low, leaseRevision: "1.1", digest: nothing, outcome: answer, delta } as const;
  to.outcomes.install({ epoch: 1, index }, entry);
}

describe("what a group knows of its slots", () => {
  test("a slot is claimed once, sealed by its owner only, adopted after all of it has come, and dropped after its seal", () => {
    const slots = new Slots();
    slots.install({ kind: "claimed", first: 2, last: 4, revision: 1 });
    assert.deepEqual(slots.of(3), { kind: "owned", revision: 1 });
    assert.equal(slots.of(5), undefined);
    assert.equal(slots.install({ kind: "sealed", slot: 5, revision: 2, to: "B" }), undefined);
    assert.equal(slots.install({ kind: "sealed", slot: 3, revision: 1, to: "B" }), undefined);
    assert.equal(slots.install({ kind: "released", slot: 3, revision: 2 }), undefined);
    assert.notEqual(slots.install({ kind: "sealed", slot: 3, revision: 2, to: "B" }), undefined);
    assert.equal(slots.install({ kind: "sealed", slot: 3, revision: 3, to: "C" }), undefined);
    assert.deepEqual(slots.install({ kind: "claimed", first: 3, last: 3, revision: 1 }), []);
    assert.notEqual(slots.install({ kind: "released", slot: 3, revision: 2 }), undefined);
    assert.deepEqual(slots.of(3), { kind: "released", revision: 2, to: "B" });
    const adopting = { kind: "adopting", slot: 3, from: "B", part } as const;
    assert.equal(slots.install({ ...adopting, revision: 2, isFirst: true }), undefined);
    assert.equal(slots.install({ ...adopting, revision: 3, isFirst: false }), undefined);
    assert.notEqual(slots.install({ ...adopting, revision: 3, isFirst: true, part: { ...part, isLast: false } }), undefined);
    assert.equal(slots.install({ kind: "adopted", slot: 3, revision: 3, from: "B", digest: nothing }), undefined);
    assert.notEqual(slots.install({ ...adopting, revision: 3, isFirst: false }), undefined);
    assert.notEqual(slots.install({ kind: "adopted", slot: 3, revision: 3, from: "B", digest: nothing }), undefined);
    assert.deepEqual(slots.of(3), { kind: "owned", revision: 3 });
  });

  test("a request is ordered by the owner; elsewhere it waits, or is told which map says more", () => {
    const slots = new Slots();
    assert.equal(slots.judge({ slot: 3, revision: 1 }), "hold");
    slots.install({ kind: "claimed", first: 3, last: 3, revision: 1 });
    assert.equal(slots.judge({ slot: 3, revision: 1 }), "own");
    // Its caller knows of a later time: this member is behind.
    assert.equal(slots.judge({ slot: 3, revision: 5 }), "hold");
    slots.install({ kind: "sealed", slot: 3, revision: 2, to: "B" });
    assert.deepEqual(slots.judge({ slot: 3, revision: 1 }), { moved: 2 });
    assert.equal(slots.judge({ slot: 3, revision: 4 }), "hold");
  });

  test("what is stored comes back as it was", () => {
    const slots = new Slots();
    slots.install({ kind: "claimed", first: 0, last: 1, revision: 1 });
    slots.install({ kind: "sealed", slot: 1, revision: 2, to: "MDS.2" });
    slots.install({ kind: "adopting", slot: 9, revision: 3, from: "MDS.3", isFirst: true, part: { ...part, digest: Buffer.from("0123") } });
    const other = new Slots();
    other.replace(decodeSlots([...slots.rows(), { table: tables.state, key: "x", bytes: nothing }]));
    assert.deepEqual([...other.entries()], [...slots.entries()]);
    assert.throws(() => decodeSlots([{ table: tables.slots, key: "256", bytes: nothing }]), { code: "groups/malformed" });
  });

  test("every step is an entry like others", () => {
    const rows = [{ table: tables.state, key: "03/k", bytes: Buffer.from("v") }];
    const steps: SlotStep[] = [
      { kind: "claimed", first: 0, last: 255, revision: 1 },
      { kind: "sealed", slot: 7, revision: 2, to: "MDS.2" },
      {
        kind: "adopting",
        slot: 7,
        revision: 2,
        from: "MDS.1",
        isFirst: true,
        part: { rows, cursor: "1k", at: 9, isLast: false, digest: Buffer.alloc(0) },
      },
      { kind: "adopted", slot: 7, revision: 2, from: "MDS.1", digest: Buffer.from("0123456789abcdef") },
      { kind: "released", slot: 7, revision: 2 },
    ];
    for (const one of steps)
      assert.deepEqual(readEntry(4, makeEntry(2, 4, { kind: "slot", step: one }).bytes).body, { kind: "slot", step: one });
  });
});

describe("a slot on its way", () => {
  test("state, outcomes and what is known of callers come over in as many parts as it takes", async () => {
    const [from, to] = [group(), group()];
    step(from, 1, { kind: "claimed", first: 0, last: 9, revision: 1 });
    for (let at = 1; at <= 6; at++) await write(from, at % 2, at, `value ${at}`, at + 1);
    assert.equal(partOf(from, { slot: 1, revision: 2, to: "B", cursor: "", at: 0 }, { installed: 7, bytesMax: 10 }), undefined);
    step(from, 8, { kind: "sealed", slot: 1, revision: 2, to: "B" });
    assert.equal(partOf(from, { slot: 1, revision: 2, to: "C", cursor: "", at: 0 }, { installed: 8, bytesMax: 10 }), undefined);
    assert.equal(partOf(from, { slot: 1, revision: 2, to: "B", cursor: "", at: 9 }, { installed: 8, bytesMax: 10 }), undefined);
    let [cursor, at, parts] = ["", 0, 0];
    for (let isLast = false; !isLast; parts++) {
      const given = partOf(from, { slot: 1, revision: 2, to: "B", cursor, at }, { installed: 8, bytesMax: 10 });
      assert.ok(given !== undefined);
      const writer = new ByteWriter(64);
      writeSlotPart(writer, given);
      const come = readSlotPart(new ByteReader(writer.take()));
      step(to, 20 + parts, { kind: "adopting", slot: 1, revision: 2, from: "A", isFirst: cursor === "", part: come });
      ({ cursor, at, isLast } = come);
    }
    assert.ok(parts > 3, `${parts} parts`);
    assert.equal(text(to.state.reader(1).get("k")), "value 5");
    assert.equal(to.state.reader(0).get("k"), undefined);
    assert.deepEqual(to.state.digest(1), from.state.digest(1));
    for (const sequence of [1, 3, 5]) assert.equal(to.outcomes.judge({ lease: "caller", sequence }, 1, nothing).kind, "recorded");
    for (const sequence of [2, 4, 6]) assert.equal(to.outcomes.judge({ lease: "caller", sequence }, 1, nothing).kind, "fresh");
    step(from, 9, { kind: "released", slot: 1, revision: 2 });
    assert.equal(from.state.reader(1).get("k"), undefined);
    assert.equal(text(from.state.reader(0).get("k")), "value 6");
    assert.equal(from.outcomes.judge({ lease: "caller", sequence: 1 }, 1, nothing).kind, "fresh");
    assert.equal(from.outcomes.judge({ lease: "caller", sequence: 2 }, 1, nothing).kind, "recorded");
  });

  test("what is left of an earlier time is gone when a slot comes back", async () => {
    const [here, there] = [group(), group()];
    step(here, 1, { kind: "claimed", first: 1, last: 1, revision: 1 });
    await write(here, 1, 1, "old", 2);
    step(here, 3, { kind: "sealed", slot: 1, revision: 2, to: "B" });
    // There the row was deleted; here nothing has been dropped yet.
    step(there, 1, { kind: "claimed", first: 1, last: 1, revision: 2 });
    step(there, 2, { kind: "sealed", slot: 1, revision: 4, to: "A" });
    const given = partOf(there, { slot: 1, revision: 4, to: "A", cursor: "", at: 0 }, { installed: 2, bytesMax: 10_000 });
    assert.ok(given !== undefined);
    step(here, 4, { kind: "adopting", slot: 1, revision: 4, from: "B", isFirst: true, part: given });
    assert.equal(here.state.reader(1).get("k"), undefined);
    assert.deepEqual(here.state.digest(1), given.digest);
  });

  test("what a caller has, and that it has gone, is known at the new group as well", async () => {
    const [from, to] = [group(), group()];
    step(from, 1, { kind: "claimed", first: 0, last: 9, revision: 1 });
    await write(from, 1, 1, "one", 2);
    // In another slot it says that it has the first outcome.
    await write(from, 2, 2, "two", 3, 2);
    from.outcomes.install({ epoch: 1, index: 4 }, { kind: "lease-ended", lease: "gone" });
    step(from, 5, { kind: "sealed", slot: 1, revision: 2, to: "B" });
    const given = partOf(from, { slot: 1, revision: 2, to: "B", cursor: "", at: 0 }, { installed: 5, bytesMax: 10_000 });
    assert.ok(given?.isLast === true);
    step(to, 7, { kind: "adopting", slot: 1, revision: 2, from: "A", isFirst: true, part: given });
    assert.equal(to.outcomes.judge({ lease: "caller", sequence: 1 }, 1, nothing).kind, "expired");
    assert.equal(to.outcomes.judge({ lease: "caller", sequence: 2 }, 2, nothing).kind, "fresh");
    assert.equal(to.outcomes.judge({ lease: "gone", sequence: 1 }, 1, nothing).kind, "expired");
  });

  test("a handler sees its slot's rows under the keys that it gave them, page by page", async () => {
    const one = group();
    await write(one, 1, 1, "here", 1);
    await write(one, 255, 2, "there", 2);
    const { outcome } = await one.state.execute({ type: "list", body: nothing, id: { lease: "caller", sequence: 3 }, slot: 1, index: 3 });
    assert.equal(text(outcome), "k");
    assert.deepEqual(
      one.state
        .reader(255)
        .list("", { after: "a" })
        .map(({ key, bytes }) => [key, text(bytes)]),
      [["k", "there"]],
    );
    assert.deepEqual(one.state.reader(255).list("", { after: "k" }), []);
    await assert.rejects(async () => one.state.execute({ type: "put", body: nothing, id: { lease: "caller", sequence: 4 }, index: 4 }), {
      code: "groups/no-slot",
    });
  });
});
