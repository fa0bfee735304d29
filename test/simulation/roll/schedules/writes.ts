import { marksTable, thingsTable } from "../checkers.ts";
import { converge } from "../end.ts";
import { judge } from "../invariants.ts";
import { type Trace, calm, setStage } from "../stage.ts";
import { violation } from "../violation.ts";

/**
 * A change is refused, its refusal is held up on the way down, and its writer sends it again by a new link when the reason
 * for the refusal has gone: the second copy gets the outcome of the first and takes no effect.
 */
export async function refusedTwice(seed: number, trace?: Trace): Promise<void> {
  const stage = await setStage(seed, { ...calm, trace });
  const { clients, agents, network, history, run } = stage;
  run.writing = false;
  await stage.world.runFor(600);
  const [writer, other] = clients;
  const [agent] = agents;
  const parent = agent?.node.parent?.name;
  if (writer === undefined || other === undefined || parent === undefined) throw new Error("the stage is not set");
  const attempt = async (change: Promise<unknown>): Promise<string> =>
    change.then(
      () => "ok",
      () => "refused",
    );
  await stage.fleet.until(attempt(other.handle.add(thingsTable, "held", 1)));
  // From the parent to the agent nothing comes through; the other way is open.
  network.cut(parent, "H0");
  const told = attempt(
    writer.handle.change([{ op: "add", table: marksTable, key: "second-chance", value: 1 }], {
      ifRevision: [{ table: thingsTable, key: "held", revision: "absent" }],
    }),
  );
  await stage.world.runFor(20);
  await stage.fleet.until(attempt(other.handle.delete(thingsTable, "held")));
  network.reset("C0");
  await stage.world.runFor(60);
  network.heal();
  const outcome = await stage.fleet.until(told);
  await converge(stage);
  const writes = history.writes(`${run.marksNumber()}\u0000second-chance`);
  if (outcome === "refused" && writes > 0) violation("I6", "a change that was refused took effect when it came a second time");
  if (outcome === "ok" && writes !== 1) violation("I6", `a change that was acknowledged was written ${writes} times`);
  judge(stage);
}
