import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { GroupStage } from "./stage.ts";

describe("an ordering group whose directory begins on an older copy of its disk", () => {
  test("[I17] tells a server that has answered since then from one that goes on in its place, though the roll does not", async () => {
    const stage = new GroupStage();
    const { fleet } = stage;
    await fleet.start();
    for (const name of ["s1", "s2"]) await stage.serve(name);
    await stage.untilMembers(["s1", "s2"]);
    await fleet.until(stage.add("k"));
    fleet.member("s2").crash();
    await stage.untilMembers(["s1"]);
    await fleet.runFor(500);
    fleet.member("directory").crash();
    const copy = await fleet.disk.copy();
    fleet.member("directory").restart();
    await fleet.runFor(2000);
    await stage.restart("s2");
    await stage.untilMembers(["s1", "s2"]);
    await fleet.runFor(500);
    fleet.member("s1").crash();
    await stage.untilMembers(["s2"]);
    for (const answer of [1, 2, 3]) assert.equal((await fleet.until(stage.add("b"))).answer, answer);
    await fleet.runFor(500);
    // All lose their power, and the directory has the older disk: nobody can tell it that it is.
    const names = ["s2", "directory", "HOST1", "HOST2", "HOST3", "HOST4", "caller"];
    for (const name of names) fleet.member(name).crash();
    await fleet.disk.restore(copy);
    for (const name of names.slice(1)) fleet.member(name).restart();
    await fleet.runFor(5000);
    await stage.restart("s1");
    await stage.untilMembers(["s1"]);
    for (const answer of [1, 2, 3, 4, 5, 6]) assert.equal((await fleet.until(stage.add("a"))).answer, answer);
    await stage.restart("s2");
    const trouble = () => stage.members.get("s2")?.group.status().trouble?.code;
    await stage.until(() => trouble() === "groups/parted");
    for (let life = 0; life < 4; life++) {
      await stage.restart("s1");
      await stage.untilMembers(["s1"]);
      await fleet.runFor(1000);
    }
    await stage.until(() => trouble() === "groups/parted");
    assert.equal(stage.members.get("s2")?.group.status().role, "outside");
    assert.equal(await stage.at("s1", "a"), 6);
  });
});
