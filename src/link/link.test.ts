import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvariantError, type JsonValue, MusterError, limits, silentTelemetry } from "../kernel/index.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { type MemoryConnection, type MemoryPairOptions, memoryPair } from "../testing/memory-connection.ts";
import { ByteWriter, writeCall, writeCancel, writeHello, writeMessage } from "../wire/index.ts";
import { type CallContext, type Link, type LinkEnd, type LinkHandlers, type LinkLimits, type OpenLinkOptions, encodeMessage, openLink } from "./index.ts";

/** One side of a link: handlers that a test sets, and what they were told. */
class Side {
  readonly connection: MemoryConnection;
  readonly options: OpenLinkOptions;
  readonly messages: string[] = [];
  readonly ends: LinkEnd[] = [];
  readonly logged: string[] = [];
  drains = 0;
  onCall: LinkHandlers["call"] = (_method, body) => Buffer.from(body);
  onMessage: LinkHandlers["message"] = (kind, body) => void this.messages.push(`${kind}:${Buffer.from(body).toString()}`);
  onAccept: (link: Link, peerHello: unknown) => void = () => {};
  #link: Link | undefined;

  constructor(connection: MemoryConnection, clock: ManualClock, options: Partial<OpenLinkOptions> = {}) {
    this.connection = connection;
    const handlers: LinkHandlers = {
      call: (method, body, context) => this.onCall(method, body, context),
      message: (kind, body) => this.onMessage(kind, body),
      drain: () => void this.drains++,
      close: (end) => void this.ends.push(end),
    };
    this.options = {
      connection,
      clock,
      hello: { name: "side" },
      versions: { min: 1, max: 1 },
      telemetry: { ...silentTelemetry, log: (_level, event, fields) => void this.logged.push(`${event} ${String(fields?.["message"])}`) },
      accept: (link, peerHello) => {
        this.onAccept(link, peerHello);
        return handlers;
      },
      ...options,
    };
  }

  async open(): Promise<Link> {
    this.#link = await openLink(this.options);
    return this.#link;
  }

  get link(): Link {
    assert.ok(this.#link !== undefined);
    return this.#link;
  }

  get end(): LinkEnd {
    assert.equal(this.ends.length, 1, "close is told exactly once");
    return this.ends[0] ?? { by: "connection" };
  }
}

interface SceneOptions extends MemoryPairOptions {
  readonly near?: never;
  readonly far?: never;
  readonly nearLimits?: Partial<LinkLimits>;
  readonly farLimits?: Partial<LinkLimits>;
}

function sides(options: SceneOptions = {}): { clock: ManualClock; near: Side; far: Side } {
  const clock = new ManualClock();
  const pair = memoryPair(options);
  const near = new Side(pair.near, clock, options.nearLimits === undefined ? {} : { limits: options.nearLimits });
  const far = new Side(pair.far, clock, options.farLimits === undefined ? {} : { limits: options.farLimits });
  return { clock, near, far };
}

async function linked(options: SceneOptions = {}): Promise<{ clock: ManualClock; near: Side; far: Side }> {
  const scene = sides(options);
  await Promise.all([scene.near.open(), scene.far.open()]);
  return scene;
}

/** Lets everything that is on its way within this turn arrive; nothing here depends on real time. */
const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => process.nextTick(resolve));
};

const bytes = (text: string): Buffer => Buffer.from(text);
const text = (answer: Uint8Array): string => Buffer.from(answer).toString();

/** A peer that speaks no Muster but what the test writes. */
function stranger(): { near: Side; wire: MemoryConnection; received: Buffer[]; closed: () => boolean } {
  const clock = new ManualClock();
  const pair = memoryPair();
  const received: Buffer[] = [];
  let closed = false;
  pair.far.open({ data: (chunk) => void received.push(Buffer.from(chunk)), drain: () => {}, close: () => (closed = true) });
  return { near: new Side(pair.near, clock), wire: pair.far, received, closed: () => closed };
}

function frames(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  write(writer);
  return writer.take();
}

const goodHello: JsonValue = { versions: [1, 1], hello: null };

describe("handshake", () => {
  test("the highest version that both speak is agreed on, and each side gets the other's hello", async () => {
    const clock = new ManualClock();
    const pair = memoryPair();
    const near = new Side(pair.near, clock, { versions: { min: 1, max: 3 }, hello: { name: "near" } });
    const far = new Side(pair.far, clock, { versions: { min: 2, max: 5 }, hello: ["far", 1] });
    const [a, b] = await Promise.all([near.open(), far.open()]);
    assert.deepEqual([a.version, b.version, a.peerHello, b.peerHello], [3, 3, ["far", 1], { name: "near" }]);
    assert.equal(clock.timers, 0);
  });

  test("without a common version both sides close and name both ranges", async () => {
    const clock = new ManualClock();
    const pair = memoryPair();
    const near = new Side(pair.near, clock, { versions: { min: 1, max: 2 } });
    const far = new Side(pair.far, clock, { versions: { min: 3, max: 4 } });
    for (const [result, ours, theirs] of [
      [near.open(), "1 to 2", "3 to 4"],
      [far.open(), "3 to 4", "1 to 2"],
    ] as const)
      await assert.rejects(result, (error: unknown) => {
        assert.ok(error instanceof MusterError && error.code === "link/no-common-version");
        assert.ok(error.message.includes(ours) && error.message.includes(theirs), error.message);
        return true;
      });
    assert.equal(near.ends.length + far.ends.length, 0);
    assert.equal(clock.timers, 0);
  });

  test("a peer that says nothing is given up after three seconds", async () => {
    const { near, received } = stranger();
    const opening = near.open();
    const clock = near.options.clock;
    assert.ok(clock instanceof ManualClock);
    clock.advance(2999);
    assert.equal(clock.timers, 1);
    clock.advance(1);
    await assert.rejects(opening, { code: "link/handshake-timeout" });
    await turns();
    assert.ok(Buffer.concat(received).includes("link/handshake-timeout"));
  });

  test("accept runs before any later frame, may send at once, and sees what came in the same chunk only afterwards", async () => {
    const { near, far } = sides();
    const order: string[] = [];
    near.onAccept = (link) => {
      link.send(1, bytes("first"));
      void link.call(2, bytes("ask")).then((answer) => order.push(`answered ${text(answer)}`));
    };
    far.onAccept = () => void order.push("accepted");
    far.onMessage = (kind) => void order.push(`message ${kind}`);
    far.onCall = (method, body) => {
      order.push(`call ${method}`);
      return Buffer.from(body);
    };
    await Promise.all([near.open(), far.open()]);
    await turns();
    assert.deepEqual(order, ["accepted", "message 1", "call 2", "answered ask"]);
  });

  test("accept refuses with a reason that the peer learns", async () => {
    const { near, far } = sides();
    const refusal = new MusterError("roll/other-fleet", "you belong to another fleet", { next: "check --parent" });
    far.onAccept = () => {
      throw refusal;
    };
    const opening = near.open();
    await assert.rejects(far.open(), refusal);
    // The refusal comes after the far side's hello, so the near side was open for a moment.
    await opening;
    await turns();
    assert.equal(near.end.by, "peer");
    assert.deepEqual(near.end.error?.toJSON(), refusal.toJSON());
    assert.equal(far.ends.length, 0);
  });

  test("what accept throws by mistake is logged here and not told to the peer", async () => {
    const { near, far } = sides();
    far.onAccept = () => {
      throw new Error("secret detail");
    };
    void near.open();
    await assert.rejects(far.open(), { code: "link/handler-failed" });
    await turns();
    assert.equal(near.end.error?.code, "link/handler-failed");
    assert.ok(!JSON.stringify(near.end.error).includes("secret"));
    assert.deepEqual(far.logged, ["link-handler-failed secret detail"]);
  });

  test("a link closed inside accept is never handed out", async () => {
    const { near, far } = sides();
    far.onAccept = (link) => link.close(new MusterError("roll/closed", "closing"));
    void near.open();
    await assert.rejects(far.open(), { code: "roll/closed" });
    await turns();
    assert.equal(far.ends.length, 0);
    assert.equal(near.end.error?.code, "roll/closed");
  });

  test("frames before the hello, a second hello and a hello that is none end the link", async () => {
    const cases: Record<string, Buffer> = {
      "call first": frames((writer) => writeCall(writer, 1, 0, 1, bytes("x"))),
      "message first": frames((writer) => writeMessage(writer, 1, bytes("x"))),
      "cancel first": frames((writer) => writeCancel(writer, 1)),
      "no versions": frames((writer) => writeHello(writer, { hello: 1 })),
      "versions upside down": frames((writer) => writeHello(writer, { versions: [3, 1] })),
      "a large frame": frames((writer) => writeMessage(writer, 1, Buffer.alloc(100_000))),
    };
    for (const [title, frame] of Object.entries(cases)) {
      const { near, wire, received } = stranger();
      const opening = near.open();
      wire.write(frame);
      await assert.rejects(opening, { code: title === "a large frame" ? "wire/frame-too-large" : "link/unexpected-frame" }, title);
      await turns();
      assert.ok(Buffer.concat(received).includes(title === "a large frame" ? "wire/frame-too-large" : "link/unexpected-frame"), title);
    }
    const { near, wire } = stranger();
    const opening = near.open();
    wire.write(frames((writer) => [writeHello(writer, goodHello), writeHello(writer, goodHello)]));
    await opening;
    await turns();
    assert.equal(near.end.error?.code, "link/unexpected-frame");
  });
});

describe("calls", () => {
  test("many calls in both directions get their own answers, whatever the cutting", async () => {
    for (const chunkBytesMax of [1, 13, 100_000]) {
      const { near, far } = await linked({ chunkBytesMax });
      far.onCall = (method, body) => bytes(`${method}/${text(body)}`);
      near.onCall = async (method, body) => bytes(`${method}+${text(body)}`);
      const asked = Array.from({ length: 100 }, (_, index) => index);
      const answers = await Promise.all(asked.flatMap((index) => [near.link.call(index, bytes("n")), far.link.call(index, bytes("f"))]));
      assert.deepEqual(
        answers.map(text),
        asked.flatMap((index) => [`${index}/n`, `${index}+f`]),
      );
    }
  });

  test("an answer stays whole after its chunk is gone, and the question may be changed after the call", async () => {
    const { near } = await linked();
    const body = bytes("question");
    const asking = near.link.call(1, body);
    body.fill(0);
    const answer = await asking;
    await turns();
    assert.equal(text(answer), "question");
  });

  test("answers come back in the order in which they are ready", async () => {
    const { near, far } = await linked();
    const first = Promise.withResolvers<Uint8Array>();
    far.onCall = (method) => (method === 1 ? first.promise : bytes("second"));
    const order: string[] = [];
    const slow = near.link.call(1, bytes("")).then((answer) => order.push(text(answer)));
    await near.link.call(2, bytes("")).then((answer) => order.push(text(answer)));
    first.resolve(bytes("first"));
    await slow;
    assert.deepEqual(order, ["second", "first"]);
  });

  test("errors of a handler cross the link with code, effect and next step; other failures without their text", async () => {
    const { near, far } = await linked();
    const refusal = new MusterError("roll/key-claimed", "taken", { effect: "done", next: "choose another key" });
    const failures: (() => Uint8Array | Promise<Uint8Array>)[] = [
      () => {
        throw refusal;
      },
      () => Promise.reject(refusal),
      () => {
        throw new TypeError("secret detail");
      },
      () => Promise.reject(new TypeError("secret detail")),
    ];
    far.onCall = (method) => failures[method]?.() ?? bytes("");
    for (const method of [0, 1])
      await assert.rejects(near.link.call(method, bytes("")), (error: unknown) => {
        assert.deepEqual(error instanceof MusterError && error.toJSON(), refusal.toJSON());
        return true;
      });
    for (const method of [2, 3])
      await assert.rejects(near.link.call(method, bytes("")), (error: unknown) => {
        assert.ok(error instanceof MusterError && error.code === "link/handler-failed" && error.effect === "maybe");
        assert.ok(!JSON.stringify(error).includes("secret"));
        return true;
      });
    assert.deepEqual(far.logged, ["link-handler-failed secret detail", "link-handler-failed secret detail"]);
    assert.equal(near.link.isOpen, true);
  });

  test("a broken invariant in a handler is not answered: it stops the process", async () => {
    let caught: unknown;
    const { near, far } = await linked({
      defer: (callback) =>
        queueMicrotask(() => {
          try {
            callback();
          } catch (thrown) {
            caught = thrown;
          }
        }),
    });
    far.onCall = () => {
      throw new InvariantError("two primaries");
    };
    near.link.call(1, bytes("")).catch(() => {});
    await turns();
    assert.ok(caught instanceof InvariantError);
    near.link.close();
  });

  test("what is too large is refused at the side that would send it, and the link lives on", async () => {
    const { near, far } = await linked();
    const large = Buffer.alloc(limits.frameBytesMax);
    await assert.rejects(near.link.call(1, large), { code: "wire/frame-too-large", effect: "none" });
    assert.throws(() => near.link.send(1, large), { code: "wire/frame-too-large" });
    far.onCall = () => large;
    await assert.rejects(near.link.call(1, bytes("")), { code: "wire/frame-too-large" });
    far.onCall = () => bytes("small");
    assert.equal(text(await near.link.call(1, bytes(""))), "small");
  });

  test("above the limit of calls in flight a call is refused on either side, without effect", async () => {
    const never = new Promise<Uint8Array>(() => {});
    const ours = await linked({ nearLimits: { callsMax: 3 } });
    ours.far.onCall = () => never;
    for (let count = 0; count < 3; count++) ours.near.link.call(1, bytes("")).catch(() => {});
    await assert.rejects(ours.near.link.call(1, bytes("")), { code: "link/too-many-calls", effect: "none" });
    const theirs = await linked({ farLimits: { callsMax: 3 } });
    theirs.far.onCall = () => never;
    for (let count = 0; count < 3; count++) theirs.near.link.call(1, bytes("")).catch(() => {});
    await assert.rejects(theirs.near.link.call(1, bytes("")), { code: "link/too-many-calls", effect: "none" });
    for (const { link } of [ours.near, theirs.near]) link.close();
  });

  test("a call with the id of one that is still being worked on ends the link", async () => {
    const { near, wire } = stranger();
    near.onCall = () => new Promise(() => {});
    const opening = near.open();
    wire.write(frames((writer) => [writeHello(writer, goodHello), writeCall(writer, 7, 0, 1, bytes("")), writeCall(writer, 7, 0, 1, bytes(""))]));
    await opening;
    await turns();
    assert.equal(near.end.error?.code, "link/unexpected-frame");
  });

  test("sixteen thousand calls in flight at once are all answered", async () => {
    const { near, far } = await linked();
    const waiting: ((answer: Uint8Array) => void)[] = [];
    far.onCall = (_method, body) => new Promise((resolve) => waiting.push(() => resolve(Buffer.from("a"))) && Buffer.from(body));
    const calls = Array.from({ length: 16_384 }, () => near.link.call(1, bytes("q")));
    await turns(50);
    assert.equal(waiting.length, 16_384);
    for (const answer of waiting.toReversed()) answer(bytes(""));
    assert.equal((await Promise.all(calls)).length, 16_384);
  });
});

describe("deadlines and cancellation", () => {
  test("a call ends at its deadline, at most 10 ms late, and one timer serves them all", async () => {
    const { clock, near, far } = await linked();
    far.onCall = () => new Promise(() => {});
    const asked = Array.from({ length: 200 }, (_, index) => 20 + ((index * 37) % 300));
    const startMonoMs = clock.monoMs();
    const late = asked.map((deadlineMs) =>
      near.link.call(1, bytes(""), { deadlineMs }).then(
        () => assert.fail("nobody answered"),
        (error: unknown) => {
          assert.ok(error instanceof MusterError && error.code === "link/deadline-exceeded" && error.effect === "maybe");
          return clock.monoMs() - startMonoMs - deadlineMs;
        },
      ),
    );
    await turns();
    assert.ok(clock.timers <= 2, "one timer a direction");
    for (let ms = 0; ms < 400; ms++) {
      clock.advance(1);
      await turns(2);
    }
    for (const lateMs of await Promise.all(late)) assert.ok(lateMs >= 0 && lateMs <= 10, `${lateMs} ms late`);
    assert.equal(clock.timers, 0);
  });

  test("the deadline travels as remaining time, and the callee's signal aborts with it", async () => {
    const { clock, near, far } = await linked();
    let context: CallContext | undefined;
    far.onCall = (_method, _body, given) => {
      context = given;
      return new Promise(() => {});
    };
    const asking = assert.rejects(near.link.call(1, bytes(""), { deadlineMs: 250 }), { code: "link/deadline-exceeded" });
    await turns();
    assert.equal((context?.deadlineMonoMs ?? 0) - clock.monoMs(), 250);
    assert.equal(context?.signal.aborted, false);
    clock.advance(260);
    await asking;
    await turns();
    assert.equal(context?.signal.aborted, true);
  });

  test("a deadline that is not in the future asks nobody", async () => {
    const { near, far } = await linked();
    far.onCall = () => assert.fail("asked");
    for (const deadlineMs of [0, -1, Number.NaN])
      await assert.rejects(near.link.call(1, bytes(""), { deadlineMs }), { code: "link/deadline-exceeded", effect: "none" });
  });

  test("an abort rejects at once with the signal's reason and aborts the callee; a late answer is for nobody", async () => {
    const { near, far } = await linked();
    const answer = Promise.withResolvers<Uint8Array>();
    let signal: AbortSignal | undefined;
    far.onCall = (_method, _body, context) => {
      ({ signal } = context);
      return answer.promise;
    };
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const asking = near.link.call(1, bytes(""), { signal: controller.signal });
    await turns();
    controller.abort(reason);
    await assert.rejects(asking, reason);
    await turns();
    assert.ok(signal?.aborted === true && signal.reason instanceof MusterError && signal.reason.code === "link/cancelled");
    answer.resolve(bytes("late"));
    await turns();
    far.onCall = () => bytes("next");
    assert.equal(text(await near.link.call(1, bytes(""))), "next");
    await assert.rejects(near.link.call(1, bytes(""), { signal: controller.signal }), reason);
  });

  test("an answered call leaves no listener on its signal", async () => {
    const { near } = await linked();
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => [add(...args), listeners++];
    signal.removeEventListener = (...args: Parameters<typeof remove>) => [remove(...args), listeners--];
    await near.link.call(1, bytes(""), { signal });
    assert.equal(listeners, 0);
  });

  test("a signal that is asked for after the caller gave up is aborted already", async () => {
    const { near, far } = await linked();
    let context: CallContext | undefined;
    far.onCall = (_method, _body, given) => {
      context = given;
      return new Promise(() => {});
    };
    const controller = new AbortController();
    const asking = near.link.call(1, bytes(""), { signal: controller.signal });
    await turns();
    controller.abort();
    await assert.rejects(asking);
    await turns();
    assert.equal(context?.signal.aborted, true);
  });
});

describe("messages and flow", () => {
  test("messages arrive in the order of sending, shared frames and large ones among them", async () => {
    const { near, far } = await linked();
    const shared = encodeMessage(2, bytes("shared"));
    const before = shared.toString("hex");
    const large = encodeMessage(3, Buffer.alloc(10_000, "L"));
    near.link.send(1, bytes("a"));
    near.link.sendFrame(shared);
    near.link.sendFrame(large);
    near.link.send(1, bytes("b"));
    near.link.sendFrame(shared);
    await turns();
    near.link.sendFrame(shared);
    near.link.sendFrame(shared);
    near.link.send(1, bytes("c"));
    await turns();
    assert.deepEqual(
      far.messages.map((message) => message.slice(0, 8)),
      ["1:a", "2:shared", "3:LLLLLL", "1:b", "2:shared", "2:shared", "2:shared", "1:c"],
    );
    assert.equal(shared.toString("hex"), before);
  });

  test("everything sent in one turn is one write, and a lone shared frame is not copied", async () => {
    const { near } = await linked();
    const writes: Uint8Array[] = [];
    const write = near.connection.write.bind(near.connection);
    near.connection.write = (part) => {
      writes.push(part);
      write(part);
    };
    for (let count = 0; count < 10; count++) near.link.send(1, bytes("x"));
    const asking = Array.from({ length: 10 }, () => near.link.call(1, bytes("y")));
    assert.equal(writes.length, 0);
    assert.ok(near.link.bufferedBytes > 0);
    await Promise.all(asking);
    assert.equal(writes.length, 1);
    const shared = encodeMessage(1, bytes("shared"));
    near.link.sendFrame(shared);
    near.link.flush();
    assert.equal(writes[1], shared);
  });

  test("a handler of messages that throws ends the link with its reason", async () => {
    const { near, far } = await linked();
    far.onMessage = () => {
      throw new MusterError("roll/bad-message", "cannot be read");
    };
    near.link.send(1, bytes("x"));
    await turns();
    assert.equal(far.end.by, "us");
    assert.equal(near.end.by, "peer");
    assert.equal(near.end.error?.code, "roll/bad-message");
  });

  test("a paused link delivers nothing, what waits is counted, and drain tells when it is gone", async () => {
    const { near, far } = await linked();
    far.link.pause();
    for (let count = 0; count < 40; count++) near.link.send(1, Buffer.alloc(1000));
    await turns();
    assert.equal(far.messages.length, 0);
    assert.ok(near.link.bufferedBytes >= 40_000);
    assert.equal(near.drains, 0);
    far.link.resume();
    await turns();
    assert.equal(far.messages.length, 40);
    assert.deepEqual([near.link.bufferedBytes, near.drains], [0, 1]);
  });

  test("drain also follows when the system took everything at once", async () => {
    const { near } = await linked();
    near.link.send(1, Buffer.alloc(20_000));
    await turns();
    assert.equal(near.drains, 1);
    near.link.send(1, Buffer.alloc(200));
    await turns();
    assert.equal(near.drains, 1);
  });

  test("a peer that asks and reads no answers is refused first; one that reads nothing at all is dropped", async () => {
    const { near, far } = await linked({ farLimits: { answersBufferedBytesMax: 50_000, bufferedBytesMax: 200_000 } });
    far.onCall = () => Buffer.alloc(10_000);
    near.link.pause();
    const outcomes: string[] = [];
    for (let count = 0; count < 20; count++) {
      near.link.call(1, bytes("")).then(
        () => outcomes.push("answered"),
        (error: unknown) => outcomes.push(error instanceof MusterError ? error.code : "?"),
      );
      await turns(3);
    }
    near.link.resume();
    await turns(50);
    assert.equal(outcomes.length, 20);
    assert.ok(outcomes.includes("answered") && outcomes.includes("link/answers-not-read"), String(outcomes));
    near.link.pause();
    for (let count = 0; count < 30; count++) far.link.send(1, Buffer.alloc(10_000));
    await turns();
    assert.equal(far.end.error?.code, "link/peer-too-slow");
    assert.equal(near.end.by, "connection");
  });
});

describe("end", () => {
  test("close sends what is queued and the reason; each side is told once", async () => {
    const { clock, near, far } = await linked();
    near.link.send(1, bytes("last words"));
    near.link.close(new MusterError("roll/leaving", "this node stops"));
    near.link.close();
    assert.equal(near.ends.length, 0, "not from inside close");
    near.link.send(1, bytes("too late"));
    await turns();
    assert.deepEqual(far.messages, ["1:last words"]);
    assert.deepEqual([near.end.by, near.end.error?.code, far.end.by, far.end.error?.code], ["us", "roll/leaving", "peer", "roll/leaving"]);
    assert.deepEqual([near.link.isOpen, far.link.isOpen, clock.timers], [false, false, 0]);
  });

  test("an orderly close carries no error", async () => {
    const { near, far } = await linked();
    far.link.close();
    await turns();
    assert.deepEqual([near.ends, far.ends], [[{ by: "peer" }], [{ by: "us" }]]);
  });

  test("pending calls end with link/closed, effect maybe; later ones with effect none; handlers' signals abort", async () => {
    for (const end of ["close", "break"] as const) {
      const { clock, near, far } = await linked();
      let signal: AbortSignal | undefined;
      far.onCall = (_method, _body, context) => {
        ({ signal } = context);
        return new Promise(() => {});
      };
      const calls = [near.link.call(1, bytes("")), near.link.call(1, bytes(""), { deadlineMs: 1000, signal: new AbortController().signal })];
      await turns();
      if (end === "close") far.link.close(new MusterError("roll/leaving", "this node stops"));
      else near.connection.breakOff(new MusterError("transport/reset", "cut"));
      for (const call of calls) await assert.rejects(call, { code: "link/closed", effect: "maybe" });
      await assert.rejects(near.link.call(1, bytes("")), { code: "link/closed", effect: "none" });
      await turns();
      assert.equal(signal?.aborted, true);
      assert.deepEqual([near.end.by, near.end.error?.code], end === "close" ? ["peer", "roll/leaving"] : ["connection", "transport/reset"]);
      assert.equal(clock.timers, 0);
    }
  });

  test("a connection that breaks before the handshake rejects the opening", async () => {
    const { near } = stranger();
    const opening = near.open();
    near.connection.breakOff(new MusterError("transport/reset", "cut"));
    await assert.rejects(opening, { code: "transport/reset" });
    const quiet = stranger();
    const other = quiet.near.open();
    quiet.wire.end();
    await assert.rejects(other, { code: "link/closed" });
  });

  test("garbage ends its own link with a reason to the peer and harms no other", async () => {
    const other = await linked();
    for (const garbage of [Buffer.alloc(64, 0xff), Buffer.from([1, 0, 0, 0, 99]), Buffer.from([0, 0, 0, 0]), Buffer.from([2, 0, 0, 0, 3, 1])]) {
      const { near, wire, received, closed } = stranger();
      const opening = near.open();
      wire.write(frames((writer) => writeHello(writer, goodHello)));
      await opening;
      wire.write(garbage);
      await turns();
      assert.ok(near.end.by === "us" && near.end.error?.code.startsWith("wire/"));
      assert.ok(Buffer.concat(received).includes(near.end.error.code));
      assert.ok(closed());
    }
    assert.equal(text(await other.near.link.call(1, bytes("still here"))), "still here");
  });

  test("frames behind a close are not delivered", async () => {
    const { near, far } = await linked();
    far.onMessage = (kind) => {
      far.messages.push(String(kind));
      if (kind === 1) far.link.close();
    };
    near.link.send(1, bytes(""));
    near.link.send(2, bytes(""));
    await turns();
    assert.deepEqual(far.messages, ["1"]);
  });

  test("a link may be closed from inside its handlers", async () => {
    const { near, far } = await linked();
    far.onCall = () => {
      far.link.close();
      return bytes("unsent");
    };
    await assert.rejects(near.link.call(1, bytes("")), { code: "link/closed", effect: "maybe" });
    assert.equal(near.end.by, "peer");
  });
});
