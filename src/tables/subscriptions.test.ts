import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Telemetry, silentTelemetry } from "../kernel/index.ts";
import { type FleetEvent, Replica, tableNumbers } from "./index.ts";

const { gateway, metadata, hosts } = tableNumbers;

class Writer {
  readonly logged: string[] = [];
  readonly replica: Replica;
  #sequence = 0;

  constructor() {
    const telemetry: Telemetry = { ...silentTelemetry, log: (_, event) => void this.logged.push(event) };
    this.replica = new Replica({ telemetry });
  }

  put(table: number, key: string, text = '{"host":"HOST9","port":1872}'): void {
    this.change(() => this.replica.put(table, key, text, true, "", 0));
  }

  remove(table: number, key: string): void {
    this.change(() => this.replica.remove(table, key));
  }

  change(effects: () => void): void {
    this.replica.begin(1, ++this.#sequence);
    effects();
    this.replica.end();
  }
}

const show = ({ event, table, entry }: FleetEvent) =>
  entry === undefined ? `${event} ${table}` : `${event} ${table}/${entry.key} ${entry.valid ? 1 : 0}`;

/** A handler whose promises the test settles by hand. */
class SlowHandler {
  readonly told: string[] = [];
  #settle: (() => void) | undefined;

  readonly handle = (event: FleetEvent): Promise<void> => {
    assert.equal(this.#settle, undefined, "one event at a time");
    this.told.push(show(event));
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  };

  /** Lets the handler finish its event, and waits until the next one has been given to it. */
  async finishOne(): Promise<void> {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("subscriptions", () => {
  test("[DSD-14] a handler is told of additions, modifications and deletions under its prefix in its tables, with its context", () => {
    const writer = new Writer();
    const told: string[] = [];
    writer.put(metadata, "MDS.1.0");
    writer.replica.subscribe({ tables: ["DSD_MTID_METADATA", "gateway"], prefix: "MDS.1", context: 7 }, (event, context) => {
      told.push(`${context} ${show(event)}`);
    });
    writer.put(metadata, "MDS.1.0", '{"host":"HOST8","port":1}');
    writer.put(metadata, "MDS.2.0");
    writer.put(metadata, "MDS.10");
    writer.put(gateway, "MDS.1");
    writer.put(tableNumbers.bitfile, "MDS.1");
    writer.remove(metadata, "MDS.1.0");
    writer.remove(metadata, "MDS.1.7");
    assert.deepEqual(told, ["7 Add metadata/MDS.1.0 1", "7 Add metadata/MDS.10 1", "7 Add gateway/MDS.1 1", "7 Delete metadata/MDS.1.0 1"]);
  });

  test("[DSD-21] the end of a host is told for every server on it, after the rows of the change, and each handler sees all of it", () => {
    const writer = new Writer();
    for (const key of ["MDS.1.0", "MDS.1.1"]) writer.put(metadata, key);
    writer.put(metadata, "MDS.2.0", '{"host":"HOST90","port":1872}');
    const told: string[] = [];
    writer.replica.subscribe({ tables: ["hosts", "metadata"] }, (event) => {
      told.push(show(event));
      assert.deepEqual(
        writer.replica.search("metadata").map((entry) => entry.valid),
        [false, false, true],
      );
    });
    writer.change(() => writer.replica.put(hosts, "HOST9", "{}", false, "", 0));
    assert.equal(told[0], "Add hosts/HOST9 0");
    assert.deepEqual(told.slice(1).sort(), ["Add metadata/MDS.1.0 0", "Add metadata/MDS.1.1 0"]);
  });

  test("[DSD-15] no call follows a cancel, also not from within the handler or for what already waits", async () => {
    const writer = new Writer();
    const told: string[] = [];
    const first = writer.replica.subscribe({ tables: ["metadata"] }, (event) => {
      told.push(`first ${show(event)}`);
      first.cancel();
      second.cancel();
    });
    const second = writer.replica.subscribe({ tables: ["metadata"] }, (event) => void told.push(`second ${show(event)}`));
    const slow = new SlowHandler();
    const third = writer.replica.subscribe({ tables: ["metadata"] }, slow.handle);
    writer.change(() => {
      writer.replica.put(metadata, "a", "1", true, "", 0);
      writer.replica.put(metadata, "b", "1", true, "", 0);
    });
    third.cancel();
    third.cancel();
    await slow.finishOne();
    writer.put(metadata, "c");
    assert.deepEqual(told, ["first Add metadata/a 1"]);
    assert.deepEqual(slow.told, ["Add metadata/a 1"]);
    assert.equal(writer.replica.subscriptionCount, 0);
    assert.equal(writer.replica.waitingEvents, 0);
  });

  test("[DSD-16] an asynchronous handler gets one event at a time; what its queue cannot hold becomes one Subscribe before later events", async () => {
    const writer = new Writer();
    const slow = new SlowHandler();
    writer.replica.subscribe({ tables: ["metadata"], eventsMax: 3 }, slow.handle);
    for (let index = 0; index < 1000; index++) {
      writer.put(metadata, `MDS.${index}`);
      assert.ok(writer.replica.waitingEvents <= 4, "the queue is bounded");
    }
    assert.deepEqual(slow.told, ["Add metadata/MDS.0 1"]);
    await slow.finishOne();
    assert.deepEqual(slow.told.slice(1), ["Subscribe metadata"]);
    await slow.finishOne();
    // 999 events came while the first was handled: 249 times four were discarded, three were left.
    for (const _ of [1, 2, 3]) await slow.finishOne();
    assert.deepEqual(slow.told.slice(2), ["Add metadata/MDS.997 1", "Add metadata/MDS.998 1", "Add metadata/MDS.999 1"]);
    writer.put(metadata, "MDS.0");
    await slow.finishOne();
    assert.equal(slow.told.at(-1), "Add metadata/MDS.0 1");
  });

  test("[DSD-16] a slow handler delays nobody else", () => {
    const writer = new Writer();
    const slow = new SlowHandler();
    const told: string[] = [];
    writer.replica.subscribe({ tables: ["metadata"], eventsMax: 1 }, slow.handle);
    writer.replica.subscribe({ tables: ["metadata"] }, (event) => void told.push(show(event)));
    for (const key of ["a", "b", "c"]) writer.put(metadata, key);
    assert.deepEqual(told, ["Add metadata/a 1", "Add metadata/b 1", "Add metadata/c 1"]);
    assert.equal(slow.told.length, 1);
  });

  test("a handler that throws or rejects is reported and told of the next event", async () => {
    const writer = new Writer();
    const told: string[] = [];
    writer.replica.subscribe({ tables: ["metadata"] }, (event) => {
      told.push(show(event));
      throw new Error("a bug");
    });
    let rejected = 0;
    writer.replica.subscribe({ tables: ["metadata"] }, async () => {
      rejected++;
      throw new Error("another bug");
    });
    writer.put(metadata, "a");
    writer.put(metadata, "b");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told, ["Add metadata/a 1", "Add metadata/b 1"]);
    assert.equal(rejected, 2);
    assert.deepEqual(writer.logged, Array(4).fill("subscription-handler-failed"));
  });

  test("a handler that applies the next change sees its events after those of this one; who subscribes meanwhile hears later ones only", () => {
    const writer = new Writer();
    const told: string[] = [];
    let late = 0;
    writer.replica.subscribe({ tables: ["metadata"] }, (event) => {
      told.push(show(event));
      if (event.entry?.key !== "a") return;
      writer.replica.subscribe({ tables: ["metadata"] }, () => void late++);
      writer.put(metadata, "c");
    });
    writer.change(() => {
      writer.replica.put(metadata, "a", "1", true, "", 0);
      writer.replica.put(metadata, "b", "1", true, "", 0);
    });
    assert.deepEqual(told, ["Add metadata/a 1", "Add metadata/b 1", "Add metadata/c 1"]);
    assert.equal(late, 1);
  });

  test("bad subscriptions are refused", () => {
    const { replica } = new Writer();
    const ignore = () => {};
    assert.throws(() => replica.subscribe({ tables: ["none"] }, ignore), { code: "tables/unknown-table" });
    assert.throws(() => replica.subscribe({ tables: ["metadata"], eventsMax: 0 }, ignore), { code: "tables/bad-limit" });
    assert.throws(() => replica.subscribe({ tables: ["metadata"], prefix: "\u0000" }, ignore), { code: "tables/bad-key" });
  });
});
