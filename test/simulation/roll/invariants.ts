import {
  checkBounds,
  checkCommittedOnly,
  checkForward,
  checkNotEmptied,
  checkPairs,
  checkPrimaries,
  checkRows,
  checkSettled,
} from "./checkers.ts";
import { checkConverged, checkOwners } from "./end.ts";
import type { Slot } from "./slot.ts";
import type { Stage } from "./stage.ts";
import { violation } from "./violation.ts";
import { checkTold } from "./workload.ts";

/** One promise of the roll, and where a run holds the fleet to it. `docs/guarantees.md` names each of them by its id. */
export interface Invariant {
  readonly id: string;
  readonly name: string;
  /** At any instant, of one living node; `whole`: with everything that is too dear for each look. */
  readonly look?: (slot: Slot, stage: Stage, whole: boolean) => void;
  /** When the last fault is mended and the fleet has had its time. */
  readonly end?: (stage: Stage) => void;
  /** What else checks it: at each commit, in each event handler, at each outcome. */
  readonly also?: string;
}

export const invariants: readonly Invariant[] = [
  { id: "I1", name: "committed only", look: (slot, { history }) => checkCommittedOnly(slot, history) },
  { id: "I2", name: "one order", look: (slot, { history }, whole) => checkRows(slot, history, whole), also: "History.committed" },
  { id: "I3", name: "forward", look: checkForward, also: "schedule old copy" },
  { id: "I4", name: "gapless", look: (slot, stage) => stage.programs.get(slot)?.checkShadow(), also: "checkRows, Program.#event" },
  { id: "I5", name: "atomic", look: checkPairs, also: "Program.#event" },
  { id: "I6", name: "once", end: checkTold, also: "Program.#write" },
  { id: "I7", name: "own writes", also: "Program.#write" },
  { id: "I8", name: "barrier", look: (slot, { promised }) => checkSettled(slot, promised), also: "Program.#settle" },
  { id: "I9", name: "owner", also: "History.committed" },
  { id: "I10", name: "promotion", look: checkPrimaries, also: "History.#checkPrimaries" },
  { id: "I11", name: "no false death", also: "Deaths.#invalidated" },
  { id: "I12", name: "death is known", end: checkOwners, also: "Deaths.#look" },
  { id: "I15", name: "no empty roll", look: checkNotEmptied, end: checkMarks, also: "schedule lost store" },
  { id: "I26", name: "clocks", end: checkClocks, also: "all others, with clocks that drift, jump and stand still" },
  { id: "I28", name: "bounds", look: (slot, { history, slots }) => checkBounds(slot, history, slots) },
  { id: "I29", name: "convergence", end: checkConverged },
];

/** Looks at some nodes as they are at this instant. */
export function look(stage: Stage, some: readonly Slot[], whole: boolean): void {
  for (const slot of some) if (slot.alive) for (const invariant of invariants) invariant.look?.(slot, stage, whole);
}

/** The end of a run: everybody is compared with everything. */
export function judge(stage: Stage): void {
  look(stage, stage.slots, true);
  for (const invariant of invariants) invariant.end?.(stage);
}

function checkMarks({ run }: Stage): void {
  if (run.marksNumber() === undefined) violation("I15", "the table of marks is gone");
}

/** I26: the others are promises about clocks only if no two clocks of a run agree. */
function checkClocks({ slots }: Stage): void {
  const rates = new Set(slots.map(({ life }) => life.clock.rate));
  if (rates.size < slots.length / 2) violation("I26", `the clocks of ${slots.length} nodes run at ${rates.size} rates only`);
}
