import { MusterError, formatDurationMs } from "../../kernel/index.ts";
import { type PartitionRow, moveOf, ownerOf, slotOf, withMoves } from "../../tables/index.ts";
import { exitCode, usageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { type Verb, example } from "../verb.ts";
import { changeMap, formatSlots, mapOf, parseSlots } from "./partition-map.ts";

const waitMsDefault = 30_000;
const pollMs = 100;

/** Moves keys of a service from one ordering group to another. */
export const move: Verb = (program, bind) => {
  const command = program
    .command("move <service>")
    .description(
      "Move slots of ordering keys to another group of the service, with their state and the outcomes of their writes. Requests go on: those of a moving slot wait while it moves. Ends when the new group has them for good; giving it again is harmless, and a move that was begun goes on without this command.",
    )
    .option("--slot <slots>", "a slot or a range of them, as 7 or 0-63")
    .option("--key <key>", "instead: the slot of this ordering key, with all others in it")
    .option("--to <instance>", "the service instance whose group gets them")
    .option("--table <table>", "the table of the service, when several have a map of it")
    .option("--no-wait", "do not wait until they are there")
    .addHelpText("after", example("muster move MDS --slot 128-255 --to MDS.2", "muster move MDS --key ann --to MDS.3"));
  bind(command, async (session, [service = ""]) => {
    const { options, style } = session;
    const [range, key, to, table] = [options.text("slot"), options.text("key"), options.text("to"), options.text("table")];
    if ((range === undefined) === (key === undefined))
      throw usageError("say which slots: --slot or --key", "muster move MDS --slot 7 --to MDS.2");
    if (to === undefined) throw usageError("say where to: --to INSTANCE", "muster move MDS --slot 7 --to MDS.2");
    const slots = range === undefined ? [slotOf(key ?? "")] : parseSlots(range);
    const { row } = await session.write((fleet) =>
      changeMap(fleet, service, table, (before) => {
        demandFree(before, slots, to, service);
        return withMoves(before, slots, to);
      }),
    );
    const left = options.flag("wait") ? await waitFor(session, service, table, slots, to) : notThere(row, slots, to);
    if (session.json) session.printJson({ service, to, slots: [...slots], left: [...left] });
    else if (left.length === 0) session.print(`${style.bold(to)} has ${slotWord(slots)} of ${style.bold(service)}\n`);
    else session.hint(`on the way to ${to}: ${slotWord(left)}\nnext:  muster groups --map ${service}`);
    return left.length === 0 || !options.flag("wait") ? exitCode.success : exitCode.refused;
  });
};

function slotWord(slots: readonly number[]): string {
  return `${slots.length === 1 ? "slot" : "slots"} ${formatSlots(slots)}`;
}

/** What is on its way to somewhere else arrives there first. */
function demandFree(row: PartitionRow, slots: readonly number[], to: string, service: string): void {
  for (const slot of slots) {
    const moving = moveOf(row, slot);
    if (moving === undefined || moving.to === to) continue;
    throw new MusterError("cli/slot-moving", `slot ${slot} of ${service} is on its way to ${moving.to}`, {
      next: `wait until it is there (muster groups --map ${service}), and move it on then`,
    });
  }
}

function notThere(row: PartitionRow, slots: readonly number[], to: string): readonly number[] {
  return slots.filter((slot) => ownerOf(row, slot)?.instance !== to);
}

async function waitFor(
  session: Session,
  service: string,
  table: string | undefined,
  slots: readonly number[],
  to: string,
): Promise<readonly number[]> {
  const { clock } = session.world;
  const waitMs = session.options.durationMs("timeout") ?? waitMsDefault;
  const untilMonoMs = clock.monoMs() + waitMs;
  return session.withFleet(async (fleet) => {
    for (;;) {
      const left = notThere((await mapOf(fleet, service, table)).row, slots, to);
      if (left.length === 0 || clock.monoMs() >= untilMonoMs) return left;
      session.progress(`${left.length} of ${slots.length} slots on the way to ${to}, for ${formatDurationMs(waitMs)} at most`);
      await new Promise<void>((resolve) => void clock.schedule(pollMs, resolve));
    }
  });
}
