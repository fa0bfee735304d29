import type { Entry, Fleet } from "../../../src/index.ts";
import type { Sighting } from "../record.ts";

const valueCharactersMax = 300;
const attachmentPeriodMs = 50;

/** Writes down what a program is told of the roll from now on, and whether it hears the directory. `nowMs` is its clock. */
export function watchRoll(
  fleet: Fleet,
  host: string,
  nowMs: () => number,
  see: (sighting: Sighting) => void,
  every: (periodMs: number, run: () => void) => void,
): void {
  const tables = fleet.tables().map(({ name }) => name);
  const seen = (event: Sighting["event"], table: string, entry?: Entry) =>
    see({
      atMs: nowMs(),
      host,
      table,
      key: entry?.key ?? "",
      event,
      valid: entry?.valid ?? false,
      value: entry === undefined ? "" : (JSON.stringify(entry.value) ?? "").slice(0, valueCharactersMax),
    });
  fleet.subscribe({ tables }, ({ event, table, entry }) => {
    seen(event, table, entry);
    // What was said in the events that were discarded is still in the rows.
    if (event === "Subscribe") for (const row of fleet.search(table)) seen("Add", table, row);
  });
  // Who leads before the first change is no event, and strikes are aimed at them.
  for (const row of fleet.search("groups")) seen("Add", "groups", row);
  let wasDetached = true;
  every(attachmentPeriodMs, () => {
    const { detached } = fleet;
    if (detached === wasDetached) return;
    wasDetached = detached;
    see({ atMs: nowMs(), host, table: "", key: "", event: detached ? "detached" : "attached", valid: true, value: "" });
  });
}
