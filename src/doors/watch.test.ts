import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DoorFleet, type FleetHandle } from "../fleet/index.ts";
import { type Revision, formatRevision, silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { type HttpApp, httpApp } from "./http-app.ts";
import type { WatchersOptions } from "./watchers.ts";

type Json = ReturnType<typeof JSON.parse>;

interface SentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Json;
}

/** Reads server-sent events as a browser would: blocks, fields, the last id. */
class EventReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";
  lastId = "";
  comments = 0;

  constructor(response: Response) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    assert.ok(response.body !== null);
    this.#reader = response.body.getReader();
  }

  async next(): Promise<SentEvent> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end < 0) {
        const { value, done } = await this.#reader.read();
        assert.ok(!done, "the stream has ended");
        this.#text += this.#decoder.decode(value);
        continue;
      }
      const lines = this.#text.slice(0, end).split("\n");
      this.#text = this.#text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      this.lastId = field("id") ?? this.lastId;
      if (lines[0]?.startsWith(":")) this.comments++;
      const data = field("data");
      if (data !== undefined) return { id: this.lastId, event: field("event") ?? "", data: JSON.parse(data) };
    }
  }

  /** The id that the stream begins with. */
  async start(): Promise<string> {
    while (this.lastId === "") {
      const { value } = await this.#reader.read();
      this.#text += this.#decoder.decode(value);
      this.lastId = /^id: (.+)$/m.exec(this.#text)?.[1] ?? "";
    }
    return this.lastId;
  }

  async raw(): Promise<string> {
    const { value, done } = await this.#reader.read();
    return done ? "" : this.#decoder.decode(value);
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

describe("watching over HTTP", () => {
  let fleet: FleetHandle;
  let app: HttpApp;
  let clock: ManualClock;

  function open(watch: WatchersOptions = {}): HttpApp {
    clock = new ManualClock();
    const metrics = async () => ({ contentType: "text/plain", text: "" });
    return httpApp({
      fleet: new DoorFleet(fleet),
      telemetry: silentTelemetry,
      clock,
      metrics,
      version: "1.2.3",
      loopbackOnly: true,
      watch,
    });
  }

  const get = (path: string, headers: Record<string, string> = {}) => app.fetch(new Request(`http://127.0.0.1:7551${path}`, { headers }));

  before(async () => {
    fleet = await memoryDirectory({ host: "HOST1", routes: ["10.0.0.1"] });
    await fleet.addTable("notes");
  });

  beforeEach(() => {
    app = open();
  });

  after(() => fleet.close());

  test("watch sends each event with the revision up to which all is known; the last of a change carries its own", async () => {
    const reader = new EventReader(await get("/v1/watch?table=notes&table=metadata&prefix=W"));
    const start = await reader.start();
    assert.equal(start, formatRevision(fleet.position));
    const first = await fleet.add("notes", "W.1", 1);
    await fleet.add("notes", "X.1", "another prefix");
    const second = await fleet.change([
      { op: "add", table: "notes", key: "W.2", value: 2 },
      { op: "delete", table: "notes", key: "W.1" },
    ]);
    const events = [await reader.next(), await reader.next(), await reader.next()];
    assert.deepEqual(
      events.map(({ id, event, data }) => [id, event, data.event, data.table, data.entry.key]),
      [
        [formatRevision(first), "Add", "Add", "notes", "W.1"],
        [formatRevision(first), "Add", "Add", "notes", "W.2"],
        [formatRevision(second), "Delete", "Delete", "notes", "W.1"],
      ],
    );
    assert.deepEqual(events[0]?.data.entry, {
      table: "notes",
      key: "W.1",
      value: 1,
      valid: true,
      revision: formatRevision(first),
      owner: null,
    });
    await reader.cancel();
  });

  test("a watcher that comes back with its last id gets exactly what it missed; also in the middle of a change", async () => {
    const before = new EventReader(await get("/v1/watch?table=notes"));
    await before.start();
    await fleet.add("notes", "R.1", 1);
    const { id } = await before.next();
    await before.cancel();
    await fleet.change([
      { op: "add", table: "notes", key: "R.2", value: 2 },
      { op: "add", table: "notes", key: "R.3", value: 3 },
    ]);
    const after = new EventReader(await get("/v1/watch?table=notes", { "last-event-id": id }));
    const missed = [await after.next(), await after.next()];
    assert.deepEqual(
      missed.map(({ data }) => data.entry.key),
      ["R.2", "R.3"],
    );
    await fleet.add("notes", "R.4", 4);
    assert.equal((await after.next()).data.entry.key, "R.4");
    await after.cancel();
    const torn = new EventReader(await get("/v1/watch?table=notes", { "last-event-id": missed[0]?.id ?? "" }));
    assert.deepEqual([(await torn.next()).data.entry.key, (await torn.next()).data.entry.key], ["R.2", "R.3"]);
    await torn.cancel();
  });

  test("what is not known any more becomes one Subscribe: another history, a node that started later, a table not recorded", async () => {
    for (const id of ["1.1", `${fleet.position.epoch}.${fleet.position.sequence + 1000}`, "0.1"]) {
      const reader = new EventReader(await get("/v1/watch?table=metadata", { "last-event-id": id }));
      assert.deepEqual((await reader.next()).data, { event: "Subscribe", table: "metadata" });
      await fleet.add("metadata", "MDS.7", { host: "HOST1", port: 7 });
      assert.equal((await reader.next()).event, "Add");
      await reader.cancel();
    }
    assert.equal((await get("/v1/watch?table=notes", { "last-event-id": "yesterday" })).status, 400);
  });

  test("[DSD-16] a reader that takes nothing costs a bounded queue and gets one Subscribe in place of what it missed", async () => {
    app = open({ eventsPerWatcherMax: 10 });
    const slow = new EventReader(await get("/v1/watch?table=notes"));
    await slow.start();
    let last: Revision = fleet.position;
    for (let index = 0; index < 50; index++) last = await fleet.add("notes", `S.${index}`, "x".repeat(1000));
    const seen: SentEvent[] = [await slow.next()];
    while (seen.at(-1)?.event !== "Subscribe") seen.push(await slow.next());
    assert.ok(seen.length <= 12, `${seen.length} events were kept`);
    assert.equal(seen.at(-1)?.id, formatRevision(last));
    await fleet.add("notes", "S.50", 1);
    assert.equal((await slow.next()).data.entry.key, "S.50");
    await slow.cancel();
  });

  test("a quiet stream sends comments, so that both ends notice when the other has gone", async () => {
    const reader = new EventReader(await get("/v1/watch?table=notes"));
    await reader.start();
    clock.advance(15_000);
    clock.advance(15_000);
    assert.equal(await reader.raw(), ": alive\n\n");
    await reader.cancel();
    assert.equal(clock.timers, 1, "only the table's idle timer is left");
    clock.advance(300_000);
    assert.equal(clock.timers, 0);
  });

  test("watches are limited in number, and closing the door ends them", async () => {
    app = open({ watchersMax: 1 });
    const reader = new EventReader(await get("/v1/watch?table=notes"));
    const refused = await get("/v1/watch?table=notes");
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("retry-after"), "1");
    assert.equal((await get("/v1/watch")).status, 400);
    await reader.start();
    app.close();
    assert.equal(await reader.raw(), "");
    app = open();
    assert.equal((await get("/v1/watch?table=nowhere")).status, 404);
  });
});
