import { type Scenario, at, noHostAccused, noServerAccused, noneFails, resume, stop } from "../scenario.ts";
import { reads, sixHosts } from "./fleets.ts";

export const directoryPaused: Scenario = {
  name: "directory-paused-30s",
  about: "The directory stands still for 30 s and goes on: it was itself late, so it accuses nobody.",
  fleet: sixHosts,
  load: reads,
  roundMs: 40_000,
  steps: () => [at(2000, stop("directory")), at(32_000, resume("directory"))],
  expect: [noneFails, noHostAccused, noServerAccused],
};
