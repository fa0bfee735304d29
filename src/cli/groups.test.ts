import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FleetHandle, Operation } from "../fleet/index.ts";
import { anyReplica } from "../tables/index.ts";
import { memoryDirectory } from "../testing/memory-directory.ts";
import { runCli } from "./index.ts";
import { MemoryWorld } from "./memory-world.ts";

describe("ordering groups on the command line", () => {
  let fleet: FleetHandle;
  const replica = "00000000000000aa";

  beforeEach(async () => {
    fleet = await memoryDirectory({ host: "HOST1" });
    const servers = [1, 2, 3].map(
      (number): Operation => ({
        op: "add",
        table: "metadata",
        key: `MDS.1.${number}`,
        value: { host: "HOST1", port: 1870 + number },
      }),
    );
    const members = ["MDS.1.1", "MDS.1.2"].map((server) => ({ server, replica }));
    const value = { epoch: 1, members, synchronising: "MDS.1.2", copiesMin: 2 };
    await fleet.change([...servers, { op: "add", table: "groups", key: "metadata/MDS.1", value }]);
  });

  afterEach(() => fleet.close());

  const muster = async (...argv: readonly string[]) => {
    const world = new MemoryWorld(fleet);
    const code = await runCli(argv, world);
    return { code, out: world.stdout.text, err: world.stderr.text };
  };
  const end = (server: string, valid = false) => fleet.change([{ op: "set-valid", table: "metadata", key: server, valid }]);

  test("muster groups shows key, epoch, who synchronises, members with their validity, how many are needed and who is outside", async () => {
    const people = await muster("groups");
    assert.equal(people.code, 0);
    assert.match(
      people.out,
      /^GROUP +EPOCH +SYNCHRONISING +MEMBERS +NEEDS +OUTSIDE\nmetadata\/MDS\.1 +1 +MDS\.1\.2 +MDS\.1\.1, MDS\.1\.2 +2 +MDS\.1\.3\n$/,
    );
    const state = { state: "apart", reason: "it holds what the group lacks", by: "MDS.1.3", sinceUnixMs: 0 };
    await fleet.add("states", "metadata/MDS.1.3", state);
    assert.match((await muster("groups")).out, /MDS\.1\.3 \(apart: it holds what the group lacks\)\n$/);
    await end("MDS.1.2");
    await end("MDS.1.1");
    for (const key of ["MDS.1", "metadata/MDS.1", "MDS.1.3"]) {
      const { revision, ...row } = JSON.parse((await muster("groups", key, "--json")).out)[0];
      assert.match(revision, /^\d+\.\d+$/);
      assert.deepEqual(row, {
        key: "metadata/MDS.1",
        table: "metadata",
        instance: "MDS.1",
        epoch: 2,
        synchronising: "MDS.1.1",
        primary: null,
        copiesMin: 2,
        members: [{ server: "MDS.1.1", replica, valid: false, state: null }],
        outside: [{ server: "MDS.1.3", state: "apart", reason: "it holds what the group lacks" }],
      });
    }
    assert.match((await muster("groups")).out, /MDS\.1\.1 \(no primary\) +MDS\.1\.1 \(invalid\)/);
    const none = await muster("groups", "MDS.7");
    assert.equal(none.code, 1);
    assert.match(none.err, /MDS\.7 has no ordering group/);
  });

  test("find, search, why and doctor say who is primary, who synchronises, and in which epoch", async () => {
    assert.deepEqual(JSON.parse((await muster("find", "metadata", "MDS.1", "--json")).out).group, { epoch: 1, synchronising: "MDS.1.2" });
    assert.match((await muster("find", "metadata", "MDS.1")).out, /group +epoch 1, synchronised by MDS\.1\.2/);
    const listed = (await muster("search", "metadata")).out;
    assert.match(listed, /MDS\.1 +valid \(primary MDS\.1\.2, epoch 1\)/);
    assert.match(listed, /MDS\.1\.1 +valid \(member, epoch 1\)/);
    assert.match(listed, /MDS\.1\.2 +valid \(primary, synchronising, epoch 1\)/);
    assert.match(listed, /MDS\.1\.3 +valid {2}/);
    assert.match(
      (await muster("why", "MDS.1")).out,
      /epoch 1, synchronised by MDS\.1\.2.*\n.*MDS\.1\.2 is its primary: it synchronises the group/,
    );
    assert.match((await muster("why", "MDS.1.2")).out, /it synchronises the writes of MDS\.1 in epoch 1/);
    assert.match((await muster("why", "MDS.1.1")).out, /it is a member of the group of MDS\.1 in epoch 1, synchronised by MDS\.1\.2/);
    assert.match((await muster("why", "MDS.1.3")).out, /it is no member of the group of MDS\.1 in epoch 1/);
    assert.equal((await muster("doctor")).code, 0);
    await end("MDS.1.1");
    assert.match((await muster("doctor", "--json")).out, /"group-refuses-writes"/);
    await end("MDS.1.2");
    assert.equal((await muster("find", "metadata", "MDS.1")).code, 1);
    const why = (await muster("why", "MDS.1")).out;
    assert.match(why, /not usable/);
    assert.match(why, /no primary: only MDS\.1\.2 is known to hold all of the state, and is not valid/);
    assert.match(why, /next: start MDS\.1\.2 again with its data; only if that is lost for good: muster promote MDS\.1 --accept-loss/);
    assert.match((await muster("why", "metadata/MDS.1")).out, /group, not usable/);
    assert.match((await muster("doctor", "--json")).out, /"group-without-primary"/);
    for (const server of ["MDS.1.1", "MDS.1.2", "MDS.1.3"]) await fleet.delete("metadata", server);
    assert.match((await muster("why", "MDS.1")).out, /service instance, not usable[\s\S]*MDS\.1\.2/);
  });

  test("muster promote explains and refuses without --accept-loss; with it a valid server goes on with what it has", async () => {
    await end("MDS.1.1");
    await end("MDS.1.2");
    const asked = await muster("promote", "MDS.1");
    assert.equal(asked.code, 1);
    assert.match(asked.err, /MDS\.1\.2 \(invalid\); MDS\.1\.3 would go on[\s\S]*lost[\s\S]*next:.*muster promote MDS\.1 --accept-loss/);
    assert.equal(fleet.find("metadata", "MDS.1"), undefined, "nothing has changed");
    const done = await muster("promote", "MDS.1", "--accept-loss", "--json");
    assert.equal(done.code, 0);
    assert.deepEqual(JSON.parse(done.out), { key: "metadata/MDS.1", epoch: 3, synchronising: "MDS.1.3", givenUp: ["MDS.1.2"] });
    assert.deepEqual(fleet.get("groups", "metadata/MDS.1")?.value, {
      epoch: 3,
      synchronising: "MDS.1.3",
      members: [{ server: "MDS.1.3", replica: anyReplica }],
      copiesMin: 2,
    });
    assert.equal(fleet.find("metadata", "MDS.1")?.instance, "MDS.1.3");
  });

  test("muster promote takes the server that is named, if it is valid; else it tells what to do", async () => {
    const named = await muster("promote", "MDS.1.1", "--accept-loss");
    assert.equal(named.code, 0);
    assert.match(named.out, /MDS\.1\.1 alone is metadata\/MDS\.1 in epoch 2/);
    assert.match(named.err, /refused until 2 members/);
    await end("MDS.1.3");
    const invalid = await muster("promote", "MDS.1.3", "--accept-loss");
    assert.equal(invalid.code, 1);
    assert.match(invalid.err, /MDS\.1\.3 is not valid/);
    for (const server of ["MDS.1.1", "MDS.1.2"]) await end(server);
    assert.match((await muster("promote", "MDS.1", "--accept-loss")).err, /no server of MDS\.1 is valid/);
    const none = await muster("promote", "MDS.9", "--accept-loss");
    assert.equal(none.code, 1);
    assert.match(none.err, /MDS\.9 has no ordering group/);
    assert.equal((await muster("promote")).code, 2);
    assert.equal(await runCli(["promote", "MDS.1"], new MemoryWorld()), 3);
    assert.equal((await muster("promote", "MDS.1", "--accept-loss", "--table", "bitfile")).code, 1);
  });
});
