import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MusterError } from "../kernel/index.ts";
import { Gather, type Gathered, type Until, wantedOf } from "./gather.ts";

/** Members a … , each settled by hand. */
function scene(until: Until, size: number, absent: readonly string[] = []) {
  const servers = [..."abcdefgh"].slice(0, size);
  const missing = absent.map((server) => ({ server, error: new MusterError("requests/server-gone", "gone") }));
  const ends: Gathered[] = [];
  const members = new Map<string, { readonly signal: AbortSignal; answer: () => void; fail: (code: string) => void }>();
  const gather = new Gather(servers, missing, until, (gathered) => ends.push(gathered));
  gather.ask(
    (server, signal) =>
      new Promise((resolve, reject) => {
        members.set(server, { signal, answer: () => resolve(server), fail: (code) => reject(new MusterError(code, code)) });
      }),
  );
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    gather,
    ends,
    members,
    async answer(...names: readonly string[]) {
      for (const name of names) members.get(name)?.answer();
      await turn();
    },
    async fail(...names: readonly string[]) {
      for (const name of names) members.get(name)?.fail("test/failed");
      await turn();
    },
  };
}

const missing = ({ missing: list }: Gathered) => list.map(({ server, error }) => `${server} ${error.code}`);

describe("a gather", () => {
  test("knows how many answers there must be", () => {
    assert.deepEqual(
      [wantedOf("all", 5), wantedOf("quorum", 5), wantedOf("quorum", 4), wantedOf("quorum", 1), wantedOf("first", 5), wantedOf(2, 5)],
      [5, 3, 3, 1, 1, 2],
    );
  });

  test("ends once, when every member has answered", async () => {
    const { ends, answer } = scene("all", 3);
    await answer("b", "a");
    assert.equal(ends.length, 0);
    await answer("c", "a", "b");
    assert.equal(ends.length, 1);
    assert.deepEqual(
      ends[0]?.answers.map(({ server, index }) => [server, index]),
      [
        ["b", 1],
        ["a", 0],
        ["c", 2],
      ],
    );
    assert.deepEqual([ends[0]?.complete, ends[0]?.size, ends[0]?.missing.length], [true, 3, 0]);
  });

  test("takes the question back from those that are not waited for, with a reason; what they say then is not heard", async () => {
    const { ends, members, answer } = scene("first", 3);
    await answer("b");
    assert.deepEqual(missing(ends[0] ?? assert.fail()), ["a requests/not-awaited", "c requests/not-awaited"]);
    for (const server of ["a", "c"]) assert.ok(members.get(server)?.signal.reason instanceof MusterError);
    assert.equal(members.get("b")?.signal.aborted, false);
    await answer("a", "c");
    assert.deepEqual([ends.length, ends[0]?.answers.length], [1, 1]);
  });

  test("a failure counts only when the others cannot make up for it", async () => {
    const { ends, answer, fail } = scene("quorum", 3);
    await fail("a");
    assert.equal(ends.length, 0);
    await answer("b", "c");
    assert.deepEqual([ends[0]?.complete, missing(ends[0] ?? assert.fail())], [true, ["a test/failed"]]);
    const hopeless = scene("quorum", 3);
    await hopeless.fail("a", "b");
    assert.equal(hopeless.ends[0]?.complete, false);
    assert.deepEqual(missing(hopeless.ends[0] ?? assert.fail()), ["a test/failed", "b test/failed", "c requests/not-awaited"]);
  });

  test("that wants all waits for the rest although one has failed", async () => {
    const { ends, answer, fail } = scene("all", 3, ["c"]);
    await fail("a");
    assert.equal(ends.length, 0);
    await answer("b");
    assert.deepEqual([ends[0]?.complete, missing(ends[0] ?? assert.fail())], [false, ["a test/failed", "c requests/server-gone"]]);
  });

  test("asks nobody when there cannot be enough", () => {
    const { ends, members } = scene(3, 3, ["a"]);
    assert.deepEqual([ends.length, ends[0]?.complete, members.size], [1, false, 0]);
  });

  test("a member that is lost is told so, and counts as missing once", async () => {
    const { gather, ends, members, answer } = scene("all", 2);
    gather.lost("a", new MusterError("requests/server-gone", "gone"));
    gather.lost("a", new MusterError("requests/server-gone", "gone again"));
    assert.equal(members.get("a")?.signal.aborted, true);
    assert.deepEqual(gather.pending, ["b"]);
    await answer("a", "b");
    assert.deepEqual(missing(ends[0] ?? assert.fail()), ["a requests/server-gone"]);
    assert.equal(ends[0]?.answers.length, 1);
  });

  test("that is cancelled tells everybody and has no result", async () => {
    const { gather, ends, members, answer } = scene("all", 2);
    gather.cancel(new MusterError("requests/aborted", "the caller gave up"));
    assert.ok([...members.values()].every(({ signal }) => signal.aborted));
    await answer("a", "b");
    assert.equal(ends.length, 0);
  });
});
