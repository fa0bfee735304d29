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
        find: "own?.epoch === entry.epoch && sameBytes(own.bytes, entry.bytes)) continue;",
        put: "own !== undefined) continue;",
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
    seedsFrom: 120,
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
    name: "a joiner counts before it has everything",
    edits: [{ file: "groups/joiners.ts", find: "follower.acked >= log.installed.index &&", put: "follower.acked >= 0 &&" }],
  },
  {
    name: "a change of unknown fate is taken for refused",
    edits: [{ file: "groups/row-changes.ts", find: "if (isSure) refused();", put: "refused();" }],
  },
  {
    name: "a late refusal of an older change counts",
    edits: [
      {
        file: "groups/row-changes.ts",
        find: "if (this.#pending !== pending) return;\n        if (isSure)",
        put: "if (isSure)",
      },
    ],
  },
  {
    name: "a joiner that may be named is dropped",
    edits: [{ file: "groups/joiners.ts", find: "if (follower.isProposed) isStuck = true;\n      else {", put: "{" }],
  },
  {
    name: "who knocks again is not waited for",
    edits: [
      { file: "groups/joiners.ts", find: 'const standing = follower?.standing ?? "joiner";', put: 'const standing = "joiner" as const;' },
    ],
  },
  {
    name: "answers before its promise is durable",
    edits: [
      {
        file: "groups/following.ts",
        find: "if (master === undefined || log.promisedDurable < master.epoch) return;",
        put: "if (master === undefined) return;",
      },
    ],
  },
  {
    name: "promises with a log that is not durable",
    seedsFrom: 270,
    edits: [{ file: "groups/following.ts", find: "this.#owesPromise && log.durable === log.entries.end", put: "this.#owesPromise" }],
  },
  {
    name: "a restart forgets the promise",
    edits: [
      { file: "groups/group-log.ts", find: "    this.#promised = mark.promised;\n", put: "    this.#promised = mark.promised - 1;\n" },
    ],
  },
  {
    name: "the own disk does not count",
    edits: [
      {
        file: "groups/appending.ts",
        find: "let committed = this.#ports.log.durable;",
        put: "let committed = this.#ports.log.entries.end;",
      },
    ],
  },
  {
    name: "what was cut off counts as durable",
    edits: [{ file: "groups/group-log.ts", find: "    this.#durable = Math.min(this.#durable, end);\n", put: "" }],
  },
  {
    name: "acknowledgements of an older epoch count",
    schedule: "an acknowledgement of an older epoch",
    edits: [{ file: "groups/reign.ts", find: "if (epoch < this.#firstEpoch || epoch > this.epoch) return false;", put: "" }],
  },
  {
    name: "the longest log by its length",
    schedule: "an older roll is put back",
    edits: [
      {
        file: "groups/takeover.ts",
        find: "return a.epoch > b.epoch || (a.epoch === b.epoch && a.index > b.index);",
        put: "return a.index > b.index;",
      },
    ],
  },
  {
    name: "a takeover keeps to its own log",
    schedule: "an older roll is put back",
    edits: [
      {
        file: "groups/takeover.ts",
        find: "if (longest?.promised !== undefined) {",
        put: 'if (longest?.promised !== undefined && longest.member.server === "") {',
      },
    ],
  },
  {
    name: "ended leases are forgotten",
    edits: [{ file: "groups/outcomes.ts", find: "    this.#ended.set(name, index);\n    changes", put: "    changes" }],
  },
  {
    name: "state copied without ended leases",
    edits: [
      {
        file: "groups/outcomes.ts",
        find: "    for (const [name, index] of this.#ended) yield",
        put: "    for (const [name, index] of this.#ended) if (index < 0) yield",
      },
    ],
  },
  {
    name: "a write of an ended lease runs",
    seedsFrom: 105,
    edits: [
      {
        file: "groups/ordering.ts",
        find: '      case "ended":\n        // Its',
        put: '      case "ended":\n        if (copy !== undefined) break;\n        // Its',
      },
    ],
  },
  {
    name: "another type is the same request",
    edits: [{ file: "groups/entry.ts", find: "Buffer.concat([Buffer.from(type), typeEnd, body])", put: "Buffer.concat([typeEnd, body])" }],
  },
  {
    name: "outcomes that are needed still are pruned",
    edits: [
      {
        file: "groups/outcomes.ts",
        find: "if (isRaised) this.#raise(id.lease, lease, low, changes);",
        put: "if (isRaised) this.#raise(id.lease, lease, low + (low > 3 ? 1 : 0), changes);",
      },
    ],
  },
  {
    name: "too few copies",
    edits: [{ file: "groups/ordering.ts", find: "if (count < min) {", put: "if (count < min - 1) {" }],
  },
  {
    name: "two at a time",
    edits: [
      {
        file: "groups/ordering.ts",
        find: "return this.#run === undefined && this.#hasRoom();",
        put: "return this.#hasRoom();",
      },
    ],
  },
  {
    name: "others are given up with a handler",
    schedule: "given up on top of what is not committed",
    edits: [{ file: "groups/ordering.ts", find: "if (this.#ports.ahead().entries > 0) return;", put: "" }],
  },
  {
    name: "a read joins a round under way",
    schedule: "confirmations that were under way",
    edits: [
      {
        file: "groups/latest.ts",
        find: "      this.#next.push({ deadlineMonoMs",
        put: "      (this.#round?.readers ?? this.#next).push({ deadlineMonoMs",
      },
    ],
  },
  {
    name: "confirmations of an older round count",
    schedule: "confirmations that were under way",
    edits: [
      {
        file: "groups/latest.ts",
        find: "if (this.#round?.number !== number) return;",
        put: "if (this.#round === undefined || number < 0) return;",
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
