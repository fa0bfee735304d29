/** A change of the sources that breaks one rule. Each must be caught by the simulator or a written schedule. */
export interface Mutant {
  readonly name: string;
  /** Below `src/`. */
  readonly edits: readonly {
    readonly file: string;
    readonly find: string;
    readonly put: string /** More than one place. */;
    readonly everywhere?: true;
  }[];
  /** Schedules that must catch it; without any, random seeds must. */
  readonly schedule?: string;
  /** The first of the random seeds that are tried on it; default 1. */
  readonly seedsFrom?: number;
}

/** What makes a node follow a directory of an older history: all of it has to go before one does. */
const obedience: Mutant["edits"] = [
  { file: "roll/follower.ts", find: "if (answer.epoch < this.epoch)", put: "if (answer.epoch < 0)" },
  { file: "roll/follower.ts", find: 'if (this.reign === "" ||', put: 'if (this.reign !== "none" ||' },
  {
    file: "roll/follower.ts",
    find: "const order = tick.epoch - this.tick.epoch ||",
    put: "const order = Math.abs(tick.epoch - this.tick.epoch) ||",
  },
  { file: "roll/follower.ts", find: "if (compareRevision({ epoch, sequence }, replica.position) > 0)", put: "if (sequence > 0)" },
  {
    file: "tables/replica.ts",
    find: "throw this.#backwards(epoch, sequence);",
    put: "void this.#backwards(epoch, sequence);",
    everywhere: true,
  },
  { file: "roll/follower.ts", find: "if (epoch < this.#ports.replica.epoch)", put: "if (epoch < 0)" },
  {
    file: "roll/follower.ts",
    find: 'if (parent.role === "directory" && parent.epoch < this.epoch)',
    put: 'if (parent.role === "directory" && parent.epoch < 0)',
  },
  {
    file: "roll/downlinks.ts",
    find: "if (compareRevision(attach, replica.position) > 0)",
    put: "if (compareRevision(attach, replica.position) > 1e9)",
  },
];

export const rollMutants: readonly Mutant[] = [
  {
    name: "the lapsed stay in their group",
    edits: [{ file: "roll/rules.ts", find: "    evictGone(view);\n", put: "" }],
  },
  {
    name: "a host's end evicts nobody",
    edits: [{ file: "roll/authority.ts", find: "if (wanted) evictGone(this.ground);", put: "void evictGone;" }],
  },
  {
    name: "a group takes any epoch",
    edits: [{ file: "roll/group-rules.ts", find: "next.epoch !== before.epoch + 1", put: "next.epoch < 0" }],
  },
  {
    name: "a group takes invalid members",
    edits: [{ file: "roll/group-rules.ts", find: "if (!kept && !isUp(", put: 'if (!kept && server === "" && !isUp(' }],
  },
  {
    name: "a primary is remembered past its group's row",
    edits: [
      { file: "find/finder.ts", find: "if (table === tableNumbers.groups) this.#groupChanged(key);", put: "void this.#groupChanged;" },
    ],
  },
  {
    name: "push before commit",
    edits: [
      {
        file: "roll/authority.ts",
        find: "const failure = await this.#ports.store.commit(this.#batchOf(group)).then(() => undefined, errorOf);",
        put: "const early = this.#batchOf(group); this.#show(group); const failure = await this.#ports.store.commit(early).then(() => undefined, errorOf);",
      },
      { file: "roll/authority.ts", find: "it ends the process.\n      this.#show(group);", put: "it ends the process." },
    ],
  },
  {
    name: "restart without a new epoch",
    edits: [{ file: "roll/directory.ts", find: "const epoch = epochs.newest + 1;", put: "const epoch = Math.max(1, epochs.newest);" }],
  },
  {
    name: "snapshot without end mark",
    edits: [
      {
        file: "roll/children.ts",
        find: "child.link.send(message.loadPart, part);",
        put: "child.link.send(message.loadPart, part);\n      break;",
      },
    ],
  },
  {
    name: "resume by position without ranges",
    edits: [{ file: "roll/children.ts", find: "child.hold(resumed ? from.held : []);", put: "child.hold(resumed ? from.want : []);" }],
  },
  {
    name: "no progress notes",
    edits: [
      {
        file: "roll/children.ts",
        find: "if (!child.synced || !child.ready || child.told >= child.sent) return;",
        put: "if (child.synced) return;",
      },
      { file: "roll/follower.ts", find: "this.#advance(tick.at, tick.sequence);", put: "" },
    ],
  },
  {
    name: "leaver dropped from the minimum",
    schedule: "settle under moves",
    edits: [
      {
        file: "roll/settlement.ts",
        find: "if (this.#open.size === 0 || attendance.leavers > 0) return;",
        put: "if (this.#open.size === 0) return;",
      },
    ],
  },
  {
    name: "dedup without refusals",
    schedule: "refused twice",
    edits: [
      {
        file: "roll/authority.ts",
        find: "    session.next = request.number + 1;\n    const tooLarge",
        put: "    if (refused === undefined) session.next = request.number + 1;\n    const tooLarge",
      },
    ],
  },
  {
    name: "dedup lost at a restart",
    edits: [
      {
        file: "roll/opening.ts",
        find: "const sessions = [...stored.sessions()].map(({ bytes }) => decodeSession(bytes));",
        put: "const sessions = [...stored.sessions()].map(({ bytes }) => ({ ...decodeSession(bytes), next: 1, durableNext: 1, low: 1, outcomes: new Map() }));",
      },
    ],
  },
  {
    name: "child accepts a lower epoch",
    schedule: "old copy",
    edits: obedience,
  },
  {
    name: "empty directory obeyed",
    schedule: "lost store",
    edits: [
      {
        file: "roll/uplink.ts",
        find: 'const offer = hello.fleet === "" ? this.#ports.offer() : undefined;',
        put: "const offer = undefined;",
      },
      {
        file: "roll/follower.ts",
        find: 'if (this.fleet !== "" && answer.fleet !== this.fleet)',
        put: 'if (this.fleet !== "" && answer.fleet === "")',
      },
      { file: "roll/follower.ts", find: "if (parent.fleet !== this.fleet)", put: 'if (parent.fleet === "none")' },
      { file: "roll/downlinks.ts", find: 'if (ours !== "" && hello.fleet !== "" && ours !== hello.fleet)', put: 'if (ours === "none")' },
      ...obedience,
    ],
  },
  {
    name: "attached before everything has come",
    schedule: "slow below a relay",
    edits: [
      {
        file: "roll/admission.ts",
        find: "confirmed(child, () => {",
        put: "void confirmed;\n      ((then: () => void) => then())(() => {",
      },
    ],
  },
  {
    name: "accusation without attachment",
    schedule: "an old link ends late",
    edits: [{ file: "roll/program-watch.ts", find: "this.#newest.get(child.session) !== child", put: "child.session === 0" }],
  },
  {
    name: "agent reset = host gone",
    schedule: "agent restarts within its grace",
    edits: [
      { file: "roll/host-expiry.ts", find: "dueMs: now + hostGraceMs,", put: "dueMs: now," },
      { file: "roll/host-expiry.ts", find: "this.#settleMs : hostGraceMs)", put: "this.#settleMs : 0)" },
    ],
  },
  {
    name: "liveness by the monotonic clock alone",
    schedule: "agent suspended",
    edits: [
      {
        file: "roll/follower.ts",
        find: "return Math.max(clock.monoMs() - sinceMonoMs, Math.abs(clock.unixMs() - sinceUnixMs));",
        put: "return clock.monoMs() - sinceMonoMs + 0 * sinceUnixMs;",
      },
    ],
  },
  {
    name: "a big message is silence",
    schedule: "broken load",
    edits: [
      {
        file: "link/connection-link.ts",
        find: "    this.#heardMonoMs = this.#options.clock.monoMs();\n    try {\n      this.#decoder.push(chunk);",
        put: "    try {\n      this.#decoder.push(chunk);",
      },
      {
        file: "link/connection-link.ts",
        find: "      handlers.message(kind, body);",
        put: "      this.#heardMonoMs = this.#options.clock.monoMs();\n      handlers.message(kind, body);",
      },
    ],
  },
  {
    name: "silence of many believed at once",
    schedule: "a switch is cut",
    edits: [{ file: "roll/guard.ts", find: "if (of < rules.hostsMin) return [];", put: "if (of < 1e9) return [];" }],
  },
  {
    name: "guard that stops proof",
    schedule: "a switch is cut",
    edits: [
      {
        file: "roll/host-expiry.ts",
        find: 'const kind = cause === "closed" ? "closed" : "silent";',
        put: 'const kind = cause === "closed" ? "silent" : "silent";',
      },
    ],
  },
  {
    name: "guard that never ends",
    schedule: "a switch is cut",
    edits: [{ file: "roll/guard.ts", find: "nowMs >= before.untilMs", put: "nowMs < 0 * before.untilMs" }],
  },
  {
    name: "accusation of an older attachment",
    schedule: "a late accusation",
    edits: [
      { file: "roll/evidence.ts", find: "child.counter !== attachment.counter) return;", put: "child.counter < 0) return;" },
      { file: "roll/evidence.ts", find: "&& child.counter === attachment.counter)", put: ")" },
    ],
  },
  {
    // The time of a pause is counted by the clock, and judged before what came meanwhile is read.
    name: "timers before input after a pause",
    schedule: "agents paused",
    edits: [
      {
        file: "roll/program-watch.ts",
        find: "    this.#tickMonoMs = now;\n    if (this.#watch.size === 0) return;\n    if (late) {",
        put: "    for (let missed = now - this.#tickMonoMs; missed > periods.watchTickMs; missed -= periods.watchTickMs) this.#lapse(this.#watch.tick());\n    this.#tickMonoMs = now;\n    if (this.#watch.size === 0) return;\n    if (late) {",
      },
    ],
  },
  {
    name: "one observer",
    schedule: "one observer",
    edits: [
      {
        file: "routes/verdict.ts",
        find: "  const known = hearings.filter((hearing) => hearing !== undefined);\n",
        put: '  const known = hearings.filter((hearing) => hearing !== undefined);\n  if (systemAnswersUs === false) return "silent";\n',
      },
    ],
  },
  {
    name: "a route is cut for all on one pair's word",
    schedule: "one observer",
    edits: [
      {
        file: "routes/verdict.ts",
        find: 'if (hearing.answered + hearing.systemLives > 0) return "pair-only";',
        put: 'if (hearing.answered + hearing.systemLives > 0) return "cut";',
      },
    ],
  },
  {
    name: "a probe counts without the receiver's nonce",
    schedule: "datagrams that come late",
    edits: [
      {
        file: "routes/relation.ts",
        find: "probe.echoTag === this.tag && probe.echoNumber > this.#floor && probe.echoNumber <= this.#sent;",
        put: "probe.echoTag === this.tag && probe.echoNumber >= 0 * this.#floor;",
      },
    ],
  },
  {
    // No change ever names a primary: each node derives it, host included, so the loss of a host moves it by itself. What can be
    // broken is that derivation; then the servers of a lost host have to be invalidated by further changes.
    name: "promotion in a second change",
    schedule: "agent away for longer than its grace",
    edits: [
      { file: "tables/row.ts", find: "return this.flag && (this.host === undefined || this.host.alive);", put: "return this.flag;" },
      {
        file: "roll/host-expiry.ts",
        find: "watcherOfOwner(row.owner) === name && hostOfText(row.text) !== name)",
        put: 'watcherOfOwner(row.owner) === name && hostOfText(row.text) !== "")',
      },
    ],
  },
  {
    name: "beat of an old incarnation revives",
    schedule: "beats for what was lost",
    edits: [
      {
        file: "roll/watch.ts",
        find: 'if (watched !== undefined && watched.session !== session) return "unknown";',
        put: "",
      },
    ],
  },
];
