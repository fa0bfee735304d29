import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MusterError } from "../kernel/index.ts";
import { MessageWriter } from "./message-writer.ts";
import { RequestReader } from "./messages.ts";
import {
  type MulticastBody,
  type MulticastRequest,
  VoiceSeal,
  encodeHeard,
  encodeMulticast,
  encodeSaid,
  encodeVoice,
  entryBytes,
  messageFor,
  multicastBytesMax,
  parseHeard,
  parseMulticast,
  parseSaid,
  parseVoice,
  requestBytes,
  voiceOf,
} from "./multicast-wire.ts";

const voice = "0123456789abcdef";
const key = "11".repeat(32);
const seal = new VoiceSeal(key);

function request(body: string, entries = 3, trace = "", own: readonly string[] = []): MulticastRequest {
  const message = Buffer.from(new MessageWriter().request(0, 0, "read", 0, 500, body));
  return {
    kind: "request",
    table: "metadata",
    type: "look",
    declaration: 12,
    trace,
    message,
    entries: Array.from({ length: entries }, (_, index) => ({
      ear: index + 1,
      id: 2 ** 32 - 1 - index,
      attempt: 1 + index,
      server: `MDS.${index}.1`,
      trace: own[index] ?? "",
    })),
  };
}

test("what is said is what is heard; each server gets the message that its link would have brought", () => {
  const asked = request('{"path":"ä"}', 3, "00-shared", ["", "00-own"]);
  const bytes = encodeMulticast(voice, 70_000, asked, seal);
  assert.equal(voiceOf(bytes), voice);
  const said = parseMulticast(bytes, seal);
  assert.deepEqual(said, { sequence: 70_000, body: asked });
  const reader = new RequestReader();
  for (const [index, entry] of asked.entries.entries()) {
    reader.read(messageFor(asked, entry));
    assert.deepEqual(
      [reader.id, reader.attempt, reader.effect, reader.leftMs, reader.body(), reader.trace],
      [2 ** 32 - 1 - index, 1 + index, "read", 500, { path: "ä" }, index === 1 ? "00-own" : "00-shared"],
    );
  }
  const call: MulticastBody = { kind: "call", ears: [1, 300, 70_000] };
  assert.deepEqual(parseMulticast(encodeMulticast(voice, 1, call, seal), seal), { sequence: 1, body: call });
});

test("another key, a changed byte, a missing byte, garbage: nothing of it is believed, and nothing throws", () => {
  const bytes = encodeMulticast(voice, 7, request("1"), seal);
  assert.equal(parseMulticast(bytes, new VoiceSeal("12".repeat(32))), undefined);
  for (let index = 0; index < bytes.length; index++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
    assert.equal(parseMulticast(changed, seal), undefined, `byte ${index}`);
  }
  assert.equal(parseMulticast(bytes.subarray(0, -1), seal), undefined);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), (garbage) => {
      voiceOf(garbage);
      assert.equal(parseMulticast(garbage, seal), undefined);
      // Somebody who knows the key, and another language.
      const sealed = seal.seal(encodeMulticast(voice, 1, { kind: "call", ears: [] }, seal).subarray(0, 16), garbage);
      const said = parseMulticast(sealed, seal);
      if (said?.body.kind === "request")
        for (const entry of said.body.entries)
          assert.ok(isRefusal(() => messageFor(said.body.kind === "request" ? said.body : request(""), entry)));
    }),
  );
  assert.equal(voiceOf(Buffer.alloc(multicastBytesMax + 1, 0x51)), undefined);
});

/** Either it does it, or it says why not. */
function isRefusal(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (thrown) {
    return thrown instanceof MusterError;
  }
}

test("what is estimated is never less than what is written", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(20), fc.string({ maxLength: 200 }), fc.boolean(), (body, entries, trace, isOwn) => {
      const asked = request(body, entries, isOwn ? "" : trace, isOwn ? Array.from({ length: entries }, () => trace) : []);
      const estimate = requestBytes(asked) + asked.entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
      assert.ok(encodeMulticast(voice, 2 ** 40, asked, seal).length <= estimate);
    }),
  );
});

test("what links carry of it: voices, copies, acknowledgements; malformed ones are refused", () => {
  assert.deepEqual(parseVoice(encodeVoice({ voice, key, ear: 300 })), { voice, key, ear: 300 });
  const said = parseSaid(encodeSaid(2 ** 40, 2, Buffer.from("whatever")));
  assert.deepEqual([said.sequence, said.kind, said.body.toString()], [2 ** 40, 2, "whatever"]);
  assert.equal(parseHeard(encodeHeard(2 ** 40)), 2 ** 40);
  const empty = new Uint8Array(0);
  for (const parse of [parseVoice, parseSaid, parseHeard]) assert.throws(() => parse(empty), { code: "requests/malformed" });
});
