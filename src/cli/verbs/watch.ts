import { type FleetEvent, renderEvent } from "../../fleet/index.ts";
import { every, formatRevision } from "../../kernel/index.ts";
import { exitCode } from "../errors.ts";
import { formatValue } from "../format-value.ts";
import { untilStopped } from "../long-lived.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";

const attachmentLookMs = 500;

/** Events as they happen. */
export const watch: Verb = (program, bind) => {
  const command = program
    .command("watch <tables...>")
    .description(
      "Follow the events of tables, one a line, until Ctrl-C. It goes on by itself when its agent restarts; Subscribe means: some were lost, read again.",
    )
    .option("--prefix <prefix>", "only keys that begin with it")
    .addHelpText("after", example("muster watch metadata gateway", "muster watch metadata --prefix MDS.1 --json | jq .entry.valid"));
  bind(command, (session, tables) => {
    const prefix = session.options.text("prefix") ?? "";
    return untilStopped(session, async (stop) => {
      const fleet = await session.connect(tables);
      try {
        const subscription = fleet.subscribe({ tables, prefix }, (event) => {
          session.print(lineOf(session, event));
          // While the reader is slow, events wait in the subscription's bounded queue and not in memory here.
          return session.world.stdout.drained?.();
        });
        session.hint(session.style.dim(`watching ${tables.join(", ")} from ${formatRevision(fleet.position)}`));
        // It has just been reached; its first tick may still be on its way.
        let detached = false;
        // Every event of the time without a parent arrives when one is back; a person should know why it is so quiet.
        const look = every(session.world.clock, attachmentLookMs, () => {
          if (fleet.detached === detached) return;
          detached = fleet.detached;
          session.hint(session.style.yellow(detached ? "detached: no news from the agent until it is back" : "attached again"));
        });
        await aborted(stop);
        look.cancel();
        subscription.cancel();
      } finally {
        await fleet.close();
      }
      return exitCode.success;
    });
  });
};

function lineOf(session: Session, event: FleetEvent): string {
  if (session.json) return `${JSON.stringify(renderEvent(event))}\n`;
  const { style } = session;
  const time = style.dim(timeOfDay(session.world.clock.unixMs()));
  const { entry } = event;
  if (entry === undefined)
    return `${time}  ${style.yellow(event.event)}  ${event.table}  some events were discarded, read the table again\n`;
  const name = style.bold(`${event.table}/${entry.key}`);
  if (event.event === "Delete") return `${time}  ${style.red("Delete")}  ${name}\n`;
  return `${time}  ${style.green("Add   ")}  ${name}  ${session.validity(entry.valid)}  ${formatValue(entry.value)}  ${style.dim(formatRevision(entry.revision))}\n`;
}

/** hh:mm:ss.mmm in UTC, as the logs have it. */
function timeOfDay(unixMs: number): string {
  const ms = Math.floor(unixMs) % 86_400_000;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
