import { violation } from "../roll/violation.ts";
import { checkLinearizable, describeLinearized } from "./linearizability.ts";
import { checkSessions } from "./sessions.ts";
import type { Stage } from "./stage.ts";

/** I18 and I20 over everything since the run began, or since a loss was accepted. Returns how many searches were given up. */
export function judge(stage: Stage, stepsMax = 200_000): number {
  const { callers, history, keeping, ledger, loss } = stage;
  for (const caller of callers) caller.noteUnknown((id) => ledger.hasEffect(id));
  if (loss !== undefined) noteLoss(stage, loss.atMs, keeping.keptAtLoss);
  for (const { server, state, member, replica } of stage.hosts) {
    if (state === undefined || member === undefined) continue;
    const position = member.position();
    // What it shows was lost, and it has not yet been told.
    if (!keeping.log.has(position)) continue;
    ledger.compare(server, position.index, state.snapshot());
    const copy = keeping.copy({ server, replica });
    if (copy?.mark !== undefined && keeping.log.has(copy.mark.installed))
      keeping.log.demandOutcomes(server, copy.mark.installed.index, copy.rows);
  }
  const sessions = checkSessions(history, ledger.committedWrites());
  if (sessions !== undefined) violation("I20", sessions);
  const linearized = checkLinearizable(history, stepsMax);
  if (linearized.verdict === "no") violation("I20", describeLinearized(linearized));
  return linearized.verdict === "undecided" ? 1 : 0;
}

/** What was kept is where the new history begins; what others had ordered before, and nobody had answered, may have happened since. */
function noteLoss({ callers, history, ledger }: Stage, atMs: number, kept: number): void {
  for (const [key, bytes] of ledger.stateAt(kept)) {
    const argument = Buffer.from(bytes, "latin1").toString();
    history.push({ client: "kept", key, kind: "put", argument, invokedMs: atMs - 1, respondedMs: atMs - 1, result: null });
  }
  for (const caller of callers) if (caller.isOld) caller.noteAgain((id) => (ledger.effectOf(id) ?? 0) > kept, atMs);
}
