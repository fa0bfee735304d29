import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Ears, type HearingLink } from "./multicast-ears.ts";
import { type VoiceMessage, VoiceSeal, encodeMulticast, sequenceMax } from "./multicast-wire.ts";
import { addressOf, noAttemptBegunTwice, requestGroup, scene } from "../../test/simulation/requests/multicast-scene.ts";

/** What servers are told of the voices of callers. */
function spyOnVoices(): readonly VoiceMessage[] {
  const told: VoiceMessage[] = [];
  const { add } = Ears.prototype;
  mock.method(Ears.prototype, "add", function (this: Ears, voice: VoiceMessage, link: HearingLink) {
    told.push(voice);
    return add.call(this, voice, link);
  });
  return told;
}

test("whoever knows the key silences nobody: not with numbers far ahead, not with numbers that are to come", async () => {
  const told = spyOnVoices();
  const { stage, gather, settle } = await scene(4);
  await settle();
  const { datagrams } = stage.member("s4").node.ports;
  assert.ok(datagrams?.join !== undefined);
  let said = 0;
  await stage.fleet.until(
    datagrams.join(requestGroup, [addressOf(4)], (bytes) => (said = Math.max(said, Buffer.from(bytes).readUIntLE(10, 6)))),
  );
  assert.equal((await gather("look")).complete, true);
  await stage.fleet.runFor(20);
  const socket = await stage.fleet.until(datagrams.bind({ host: addressOf(4), port: 0 }, () => {}));
  const { voice, key } = told[0] ?? { voice: "", key: "" };
  const seal = new VoiceSeal(key);
  const say = (sequence: number) => socket.send(encodeMulticast(voice, sequence, { kind: "call", ears: [1, 2, 3, 4] }, seal), requestGroup);
  for (let number = 1; number <= 20; number++) say(said + number);
  await stage.fleet.runFor(20);
  for (let count = 0; count < 5; count++) assert.equal((await gather("look", { deadlineMs: 500 })).complete, true, `gather ${count}`);
  for (const number of [said + 10_000, said + 30_000, sequenceMax]) say(number);
  await stage.fleet.runFor(20);
  for (let count = 0; count < 5; count++)
    assert.equal((await gather("look", { deadlineMs: 500 })).complete, true, `far ahead, gather ${count}`);
  noAttemptBegunTwice(stage);
});
