import { type Scenario, at, noHostAccused, noServerAccused, noneFails, restart } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

export const restartedDirectory: Scenario = {
  name: "restarted-directory",
  about: "The directory is killed and started again: lookups go on, its fleet comes back, and it accuses nobody.",
  fleet: sixHosts,
  load: reads,
  roundMs: 8000,
  steps: () => [at(2000, restart("directory"))],
  expect: [noneFails, noHostAccused, noServerAccused],
};
