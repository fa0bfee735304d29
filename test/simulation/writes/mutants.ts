import type { Mutant } from "../mutants.ts";

/** Changes of the sources that break one rule of ordering groups each. */
export const writeMutants: readonly Mutant[] = [
  {
    name: "promote a non-member",
    edits: [
      {
        file: "groups/member.ts",
        find: "        if (trouble === undefined) this.#joining.beat(row);",
        put: '        if (this.#leaderSilentTicks <= 20) this.#joining.beat(row);\n        else this.#rowChanges.ask(row, { ...row, epoch: row.epoch + 1, members: [{ server, replica }], synchronising: server }, "mutant");',
      },
    ],
  },
  {
    name: "reply before all",
    edits: [
      {
        file: "groups/appending.ts",
        find: 'if (standing !== "joiner") committed = Math.min(committed, acked);',
        put: "void [standing, acked];",
      },
    ],
  },
  {
    name: "drop a member without an epoch",
    edits: [
      {
        file: "groups/reign.ts",
        find: "if (gone.size > 0) this.#leaveOut(gone);",
        put: "if (gone.size > 0) for (const server of gone.keys()) this.#appending.leave(server);",
      },
    ],
  },
  {
    name: "no fencing",
    edits: [{ file: "groups/following.ts", find: "if (epoch < log.promised) {", put: "if (epoch < 0) {" }],
  },
  {
    name: "error not logged",
    edits: [
      {
        file: "groups/ordering.ts",
        find: '    this.#append(run.waiting, { kind: "failed", bytes: errorBytes(handlerFailed(thrown)) }, nothing, run.digest);\n    this.schedule();',
        put: '    const failed = { kind: "failed", bytes: errorBytes(handlerFailed(thrown)) };\n    this.#ports.waiting.end(run.waiting, () => ({ kind: "committed", outcome: failed, position: { epoch: 0, index: -run.startedMonoMs } }));\n    this.schedule();',
      },
    ],
  },
  {
    name: "asking not logged",
    edits: [
      {
        file: "groups/ordering.ts",
        find: '      this.#append(waiting, { kind: "abandoned" }, nothing, copy?.digest ?? nothing);',
        put: '      this.#ports.waiting.end(waiting, () => ({ kind: "committed", outcome: { kind: "abandoned" }, position: { epoch: 0, index: -clock.monoMs() } }));',
      },
    ],
  },
  {
    name: "dedup only by the queue",
    edits: [{ file: "groups/outcomes.ts", find: "const recorded = lease?.outcomes.get(id.sequence);", put: "const recorded = undefined;" }],
  },
  {
    name: "another body is the same request",
    edits: [
      {
        file: "groups/outcomes.ts",
        find: "const isOther = digest !== undefined && recorded.digest.length > 0 && !sameBytes(digest, recorded.digest);",
        put: "const isOther = false;",
      },
    ],
  },
  {
    name: "join before caught up",
    edits: [
      {
        file: "groups/joiners.ts",
        find: "follower.acked >= log.installed.index &&\n        follower.acked > 0",
        put: "log !== undefined",
      },
    ],
  },
  {
    name: "a named joiner is not waited for",
    edits: [
      { file: "groups/appending.ts", find: 'if (standing !== "joiner") committed = ', put: 'if (standing === "member") committed = ' },
    ],
  },
  {
    name: "prune at one member only",
    edits: [
      // Outcomes go everywhere, but only the one that ordered the entry remembers up to where.
      { file: "groups/outcomes.ts", find: "    lease.low = low;\n", put: "    this.#aheadLow.set(name, low);\n" },
      {
        file: "groups/outcomes.ts",
        find: "    if (id.sequence < lease.low) return changes;\n",
        put: "    if (id.sequence < low) return changes;\n",
      },
    ],
  },
  {
    name: "state copied without outcomes",
    // One seed in a thousand or two has a copy of a state, a repeat and a takeover in this order.
    seedsFrom: 20_000,
    edits: [{ file: "groups/joiners.ts", find: "  yield* others;\n", put: "" }],
  },
  {
    name: "member reads on append",
    edits: [
      {
        file: "groups/following.ts",
        find: "this.#ports.committed(Math.min(commit, this.#matched));",
        put: "this.#ports.committed(Math.max(commit, this.#matched));",
      },
    ],
  },
  {
    name: "wrong entries are kept",
    edits: [
      {
        file: "groups/following.ts",
        find: "entries.epochAt(entry.index) === entry.epoch) continue;",
        put: "entry.index <= entries.end) continue;",
      },
    ],
  },
  {
    name: "`latest` without the round",
    schedule: "latest at a deposed server",
    edits: [{ file: "groups/latest.ts", find: "missing: new Set(this.#ports.others())", put: "missing: new Set()" }],
  },
  {
    name: "`latest` without those that are about to be named",
    schedule: "latest while a joiner is being named",
    edits: [
      {
        file: "groups/reign.ts",
        find: 'filter(({ standing }) => standing !== "joiner").map(({ server }) => server);',
        put: 'filter(({ standing }) => standing === "member").map(({ server }) => server);',
      },
    ],
  },
  {
    name: "session reads anywhere",
    edits: [
      {
        file: "groups/member.ts",
        find: 'return index >= position.index && epoch >= position.epoch ? "here" : "behind";',
        put: 'return index >= 0 || epoch >= position.epoch ? "here" : "behind";',
      },
    ],
  },
  {
    name: "serves before the takeover's entry is committed",
    edits: [
      {
        file: "groups/reign.ts",
        find: "log.installed.index >= this.#openedIndex) this.#serve();",
        put: "log.installed.index >= 0) this.#serve();",
      },
    ],
  },
  {
    name: "two lives of a host serve one epoch",
    edits: [
      {
        file: "groups/member.ts",
        find: 'this.#standing === "synchronising" && this.#log.promised < row.epoch) this.#begin(row);',
        put: 'this.#standing === "synchronising" && this.#log.promised <= row.epoch) this.#begin(row);',
      },
    ],
  },
  {
    name: "speaks in an epoch before it is promised",
    schedule: "words of a former life",
    edits: [
      { file: "groups/reign.ts", find: "row === undefined || this.#ports.log.promisedDurable < row.epoch", put: "row === undefined" },
    ],
  },
  {
    name: "acknowledged before it is durable",
    edits: [{ file: "groups/following.ts", find: "const end = Math.min(this.#matched, log.durable);", put: "const end = this.#matched;" }],
  },
  {
    name: "what is void stays in the state",
    schedule: "executed and void",
    edits: [
      {
        file: "groups/ordering.ts",
        find: "    this.#run = undefined;\n    this.#ports.machine.discard();\n    this.#ports.outcomes.forgetAhead();",
        put: "    this.#run = undefined;\n    this.#ports.outcomes.forgetAhead();",
      },
    ],
  },
  {
    name: "longest log from anyone",
    schedule: "a longer log outside of the group",
    edits: [
      {
        file: "groups/takeover.ts",
        find: "return a.epoch > b.epoch || (a.epoch === b.epoch && a.index > b.index);",
        put: "return a.index > b.index;",
      },
      {
        file: "groups/takeover.ts",
        find: "for (const { member, promised } of this.#asked.values()) {\n      if (promised === undefined) areAll = false;",
        put: "for (const { member, promised, silentTicks } of this.#asked.values()) {\n      if (promised === undefined && (member.isStranger !== true || silentTicks < 10)) areAll = false;",
      },
      {
        file: "groups/reign.ts",
        find: "row.epoch, this.#others());",
        put: "row.epoch, this.#others());\n    globalThis.everMembers ??= new Map();\n    for (const member of row.members) globalThis.everMembers.set(member.server, { ...member, isStranger: true });",
      },
      {
        file: "groups/reign.ts",
        find: "  #others(): readonly Member[] {",
        put: "  #others(): readonly Member[] {\n    const here = new Set(this.#row.members.map(({ server }) => server));\n    const strangers = [...(globalThis.everMembers?.values() ?? [])].filter(({ server }) => !here.has(server));\n    if (strangers.length > 0) return [...strangers, ...this.#row.members.filter(({ server }) => server !== this.#ports.server)];",
      },
      {
        file: "groups/reign.ts",
        find: "if (!this.#row.members.some((member) => member.server === from && member.replica === replica)) return;",
        put: "void replica;",
      },
      {
        file: "groups/reign.ts",
        find: "for (const { member, promised } of this.#takeover.others) {",
        put: "for (const { member, promised } of [...this.#takeover.others].filter((asked) => !asked.member.isStranger)) {",
      },
    ],
  },
];
