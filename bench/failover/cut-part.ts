import { Load } from "../../test/lab/index.ts";
import { takeOrders, tell } from "../../test/lab/programs/parent.ts";
import { contenderNamed, parsePlace } from "./contenders.ts";
import { loadPorts, withinDeadline } from "./loading.ts";
import { deadlineMs } from "./contender.ts";

/** A program on a host of the fault laboratory, of a peer. Arguments: "serve" or "call", the contender, its place, which of the servers. */
const [role, word, place, index] = process.argv.slice(2);
let load: Load | undefined;

takeOrders((order) => {
  if (order.order === "begin") load?.begin(order.requestsPerSecond, order.countFromMs);
  if (order.order === "end") void load?.end(deadlineMs + 500).then((report) => tell({ news: "report", report }));
});
if (role === "serve") await contenderNamed(word).serve(parsePlace(place), Number(index));
if (role === "call") {
  const ask = await contenderNamed(word).call(parsePlace(place), () => {});
  await ask();
  load = new Load("caller", withinDeadline(ask), loadPorts, (failure) => tell({ news: "first-failure", failure }));
}
tell({ news: "ready" });
