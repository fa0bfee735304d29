import type { Mutant } from "../mutants.ts";

/** Changes of the sources that break one rule of moving keys each. */
export const moveMutants: readonly Mutant[] = [
  {
    name: "key moved without outcomes",
    edits: [{ file: "groups/slot-part.ts", find: "cut.take(0, (after) => outcomes.ofSlot(slot, after));", put: "cut.take(0, () => []);" }],
  },
  {
    name: "key moved without what its callers have",
    edits: [{ file: "groups/slot-part.ts", find: "cut.take(2, (after) => outcomes.ofCallers(after));", put: "cut.take(2, () => []);" }],
  },
  {
    name: "orders a key after its seal",
    edits: [
      {
        file: "groups/slots.ts",
        find: 'if (status?.kind === "owned") return revision <= since',
        put: 'if (status?.kind === "owned" || status?.kind === "sealed") return revision <= since',
      },
    ],
  },
  {
    name: "orders a key while its seal is on its way",
    edits: [{ file: "groups/moving.ts", find: 'this.#ahead.has(claim.slot) ? "hold" : this', put: "this" }],
  },
  {
    name: "map changed before the new group has the key",
    edits: [
      {
        file: "groups/moving.ts",
        find: 'if (kind === "owned" && (ownerOf(map, slot)?.revision ?? 0) < revision)',
        put: 'if ((kind === "owned" || kind === "adopting") && (ownerOf(map, slot)?.revision ?? 0) < revision)',
      },
    ],
  },
  {
    name: "a key is dropped before the new group has it",
    edits: [
      { file: "groups/moving.ts", find: "owner.revision >= revision && owner.instance !== this.#instance)", put: "owner.revision > 0)" },
    ],
  },
  {
    name: "takes keys that are not its own",
    edits: [
      {
        file: "groups/slots.ts",
        find: 'return revision < since ? { moved: since } : "hold";',
        put: 'return revision < since ? { moved: since } : "own";',
      },
    ],
  },
  {
    name: "refuses a key without naming the map's revision",
    edits: [{ file: "groups/slots.ts", find: "{ moved: since }", put: "{ moved: 0 }" }],
  },
  {
    name: "what became of a write is asked of anybody",
    edits: [
      { file: "groups/ordering.ts", find: "if (!this.#isHere(waiting)) return;", put: "if (!isAsked && !this.#isHere(waiting)) return;" },
    ],
  },
  {
    name: "session reads of a key that was here before",
    schedule: "a key that came back",
    edits: [{ file: "groups/slots.ts", find: 'return revision <= since ? "own" : "hold";', put: 'return "own";' }],
  },
];
