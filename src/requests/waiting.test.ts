import assert from "node:assert/strict";
import { test } from "node:test";
import { PendingRequest } from "./pending-table.ts";
import { WaitingRequests } from "./waiting.ts";

function request(key: string): PendingRequest {
  return new PendingRequest(
    key,
    "stat",
    "null",
    1000,
    1000,
    undefined,
    undefined,
    undefined,
    () => {},
    () => {},
  );
}

test("a changed row concerns those who ask for it, for what it lies below, and for what lies below it", () => {
  const waiting = new WaitingRequests();
  const one = request("MDS.1");
  waiting.add(one);
  for (const key of ["MDS.1", "MDS.1.2", "MDS"]) assert.equal(waiting.concerns(key), true, key);
  for (const key of ["MDS.10", "MDS.2.1", "BSS.1", "MD"]) assert.equal(waiting.concerns(key), false, key);
  waiting.add(request("BSS."));
  assert.equal(waiting.concerns("BSS.1.1"), true);
  waiting.remove(one);
  assert.equal(waiting.concerns("MDS.1"), false);
});

test("a request waits once, however often it is added", () => {
  const waiting = new WaitingRequests();
  const [one, two] = [request("MDS.1"), request("MDS.1")];
  for (const each of [one, two, one]) waiting.add(each);
  assert.deepEqual(
    waiting.groups().map(({ requests }) => requests.size),
    [2],
  );
  waiting.remove(one);
  waiting.remove(one);
  assert.deepEqual(
    waiting.groups().map(({ requests }) => [...requests]),
    [[two]],
  );
  waiting.remove(two);
  assert.equal(waiting.size, 0);
});
