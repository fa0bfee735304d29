import { connect } from "../../../src/index.ts";
import type { Sighting } from "../record.ts";
import { monoMs, parseOptions, takeOrders, tell } from "./parent.ts";
import { watchRoll } from "./watch.ts";

/** Stands on one host and writes down when it is told what of the roll. */
const options = parseOptions(process.argv[2]);
const fleet = await connect({ agent: options.agent, name: options.name, timeoutMs: 20_000 });
let sightings: Sighting[] = [];
const flush = () => {
  tell({ news: "sightings", sightings });
  sightings = [];
};
watchRoll(
  fleet,
  options.host,
  monoMs,
  (sighting) => {
    sightings.push(sighting);
    // Strikes are aimed by these.
    if (sighting.table === "groups") flush();
  },
  (periodMs, run) => void setInterval(run, periodMs),
);
takeOrders(({ order }) => {
  if (order === "tell") flush();
});
setInterval(() => {
  if (sightings.length > 0) flush();
}, 250);
tell({ news: "ready" });
