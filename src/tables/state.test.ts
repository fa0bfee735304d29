import assert from "node:assert/strict";
import { test } from "node:test";
import { isAvoided, parseState, stateKey, stateNames, targetOfStateKey } from "./state.ts";

test("a state's key names the entry that it is about", () => {
  assert.equal(stateKey("metadata", "MDS.1/a"), "metadata/MDS.1/a");
  assert.deepEqual(targetOfStateKey("metadata/MDS.1/a"), { table: "metadata", key: "MDS.1/a" });
  assert.equal(stateKey("metadata", "k".repeat(510)), undefined);
  assert.equal(targetOfStateKey("metadata"), undefined);
});

test("only what says that an entry is worse than others makes lookups avoid it", () => {
  assert.deepEqual(stateNames.filter(isAvoided), ["stalled", "draining", "suspect", "unwatched", "apart"]);
});

test("a state with an unknown name or without a reason is refused, saying what is expected", () => {
  const state = { state: "stalled", reason: "its event loop stands still", by: "HOST1", sinceUnixMs: 5 };
  assert.deepEqual(parseState(state), state);
  for (const wrong of [null, { ...state, state: "tired" }, { ...state, reason: "x".repeat(501) }, { ...state, sinceUnixMs: "5" }])
    assert.throws(() => parseState(wrong), { code: "tables/bad-state", next: /stalled, draining/ });
});
