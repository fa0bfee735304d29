import type { Mutant } from "../mutants.ts";
import { furtherMutants } from "./further-mutants.ts";

export interface RequestMutant extends Mutant {
  /** The beginning of the title of the test that must catch it. */
  readonly test: string;
}

/** Changes of the sources that break one rule of requests each. */
export const requestMutants: readonly RequestMutant[] = [
  {
    name: "tombstone by id",
    test: "a cancel that comes before its request",
    edits: [
      { file: "requests/tombstones.ts", find: "return `${caller} ${id} ${attempt}`;", put: "return `${caller} ${id} ${attempt * 0}`;" },
    ],
  },
  {
    name: "no tombstone",
    test: "a cancel that comes before its request",
    edits: [
      {
        file: "requests/tombstones.ts",
        find: "this.#untilMonoMs.set(nameOf(caller, id, attempt), untilMonoMs);",
        put: "void untilMonoMs;",
      },
    ],
  },
  {
    name: "plain write re-sent",
    test: "writes that were with a killed server",
    edits: [{ file: "requests/decide.ts", find: 'if (effect === "write") return "unknown";', put: "" }],
  },
  {
    name: "undeclared type is a read",
    test: "a type that nobody declared is a write",
    edits: [{ file: "requests/sender.ts", find: 'request.askedEffect ?? "write"', put: 'request.askedEffect ?? "read"' }],
  },
  {
    name: "read copy of a type that has become a write",
    test: "a caller that still takes a type for a read",
    edits: [
      {
        file: "requests/served-link.ts",
        find: 'if (target.effect === "write" && effect !== "write" && this.#isWrite(target)) {',
        put: "if (Number.isNaN(attempt)) {",
      },
    ],
  },
  {
    name: "error beats late success",
    test: "an error of the attempt that was left",
    edits: [
      {
        file: "requests/copies.ts",
        find: "if (copies === undefined || spare === undefined) return true;",
        put: "if (copies === undefined || spare === undefined) return false;",
      },
    ],
  },
  {
    name: "losing attempt goes on",
    test: "an error of the attempt that was left",
    edits: [
      {
        file: "requests/copies.ts",
        find: 'this.#ports.sender.drop(request, "another copy was answered");',
        put: "",
      },
    ],
  },
  {
    name: "re-sends without a budget",
    test: "when server after server dies",
    edits: [{ file: "requests/decide.ts", find: 'return freeMoves === 0 ? "move" : "move-paid";', put: 'return "move";' }],
  },
  {
    name: "pushed failure ignored",
    test: "a hung server: what is pending moves",
    edits: [{ file: "requests/lane-index.ts", find: "for (const lane of lanes) this.#touched.add(lane);", put: "void lanes;" }],
  },
  {
    name: "dead path unnoticed",
    test: "a path that dies between two hosts",
    edits: [{ file: "requests/path-watch.ts", find: "channel.ping();", put: "channel.clearQuiet();" }],
  },
  {
    name: "slow handler taken for a dead path",
    test: "a handler that takes long",
    edits: [{ file: "requests/served-link.ts", find: "this.#link.send(message.pong, nothing);", put: "" }],
  },
  {
    name: "writes leave a silent path",
    test: "writes that were sent over the dead path wait",
    edits: [{ file: "requests/decide.ts", find: 'return sent && effect === "write" ? "stay" : "leave";', put: 'return "leave";' }],
  },
  {
    name: "second move forgotten",
    test: "a request that has moved moves again",
    edits: [
      {
        file: "requests/decide.ts",
        find: 'return sent && effect === "write" ? "stay" : "leave";',
        put: 'return sent && (effect === "write" || freeMoves > 0) ? "stay" : "leave";',
      },
    ],
  },
  {
    name: "closing server begins what comes",
    test: "turns away what is on its way",
    edits: [{ file: "requests/served-service.ts", find: "return this.closing ?? this.accusation;", put: "return this.accusation;" }],
  },
  {
    name: "superseded server goes on",
    test: "a server that the roll no longer names",
    edits: [{ file: "requests/served-service.ts", find: "return this.closing ?? this.accusation;", put: "return this.closing;" }],
  },
  {
    name: "failed address not avoided",
    test: "an address that failed is not tried again",
    edits: [{ file: "requests/caller.ts", find: "this.#chooser.avoidPlace(lane);", put: "" }],
  },
  {
    name: "twin dropped and no hedge",
    test: "also when the one that has begun is the twin",
    edits: [
      {
        file: "requests/copies.ts",
        find: "if (copies.hedgeMonoMs === 0) this.#planHedge",
        put: "if (copies.hedgeMonoMs === 0 && !copies.hasTwin) this.#planHedge",
      },
    ],
  },
  {
    name: "no twin",
    test: "a hung server: its reads are answered",
    edits: [{ file: "requests/copies.ts", find: 'if (!this.#send(request, "twin", nowMonoMs)) return;', put: "return;" }],
  },
  {
    name: "both of a pair run",
    test: "one of a pair waits in a queue",
    edits: [
      { file: "requests/copies.ts", find: "if (copies.hasTwin) this.#dropTwin(request, copies, spare);", put: "void spare;" },
      { file: "requests/copies.ts", find: "this.#ports.sender.tie(request, twin);", put: "void twin;" },
    ],
  },
  {
    name: "distance taken for slowness",
    test: "far away is not late",
    edits: [{ file: "requests/copies.ts", find: "const tieRoundTrips = 2;", put: "const tieRoundTrips = 0;" }],
  },
  {
    name: "plain write copied",
    test: "writes that were sent over the dead path wait",
    edits: [
      {
        file: "requests/sender.ts",
        find: 'request.copying = request.effect === "read" ? ',
        put: "request.copying = request.effect !== undefined ? ",
      },
      { file: "requests/sender.ts", find: 'if (request.effect !== "read") return false;', put: "" },
      { file: "requests/copies.ts", find: 'if (request.effect !== "read" || !sender.mayTryAgain(request)) return false;', put: "" },
    ],
  },
  {
    name: "copies without a budget",
    test: "what copies add stays within the budget",
    edits: [
      {
        file: "requests/copies.ts",
        find: 'if (request.record?.budget.take(kind === "twin" ? keptForHedges : 0) !== true) {',
        put: "if (request.record === undefined) {",
      },
    ],
  },
  {
    name: "error of one copy ends the read",
    test: "a copy that fails ends nothing",
    edits: [{ file: "requests/copies.ts", find: "if (copies === undefined || spare === undefined) return true;", put: "return false;" }],
  },
  {
    name: "last error told instead of the first",
    test: "a copy that fails ends nothing",
    edits: [{ file: "requests/replies.ts", find: "fail(request, request.copies?.error ?? error);", put: "fail(request, error);" }],
  },
  {
    name: "losing copy goes on",
    test: "all: every server begins at once",
    edits: [
      {
        file: "requests/copies.ts",
        find: "if (spare !== winner) this.#cancel(spare,",
        put: "if (spare === undefined) this.#cancel(spare,",
      },
    ],
  },
  {
    name: "other copy not taken over",
    test: "the server of the first copy dies",
    edits: [
      {
        file: "requests/mover.ts",
        find: "request.failure = error;\n    if (copies.replaceMain(request)) return;",
        put: "request.failure = error;",
      },
    ],
  },
  {
    name: "overdue request begins",
    test: "what is overdue never begins",
    edits: [
      { file: "requests/served-link.ts", find: "if (queued.dueMonoMs <= this.nowMonoMs) return;", put: "" },
      {
        file: "requests/served-link.ts",
        find: "        this.#queued.delete(queued);\n        queued.service.dequeue(queued);",
        put: "        this.#queued.delete(queued);",
      },
    ],
  },
  {
    name: "cancelled request begins",
    test: "works on the others in the order",
    edits: [{ file: "requests/served-link.ts", find: "if (this.#dequeue(id, attempt) !== undefined) return true;", put: "" }],
  },
  {
    name: "load not looked at",
    test: "weights are kept",
    edits: [
      {
        file: "requests/choose.ts",
        find: "const any = lessBusyOf(first, second, nowMonoMs);",
        put: "const any = second !== undefined && this.#ports.random.fraction() < 0.5 ? second : first;",
      },
    ],
  },
  {
    name: "failing server asked on",
    test: "a server whose handlers fail one after the other",
    edits: [{ file: "requests/choose.ts", find: "this.avoidServer(lane);\n    this.#ports.ejected(lane);", put: "" }],
  },
  {
    name: "all servers passed over",
    test: "a server whose handlers fail one after the other",
    edits: [{ file: "requests/choose.ts", find: "if (away * 2 > plan.lanes.length) return;", put: "" }],
  },
  {
    name: "sent request that cannot be looked up has not run",
    test: "a key that becomes ambiguous",
    edits: [{ file: "requests/caller.ts", find: "request.mayHaveRun ||= request.sent;", put: "" }],
  },
  {
    name: "server outside of the subset answers",
    test: "a server outside of the subset ignores",
    edits: [{ file: "requests/served-link.ts", find: "if (target.outside !== undefined) {", put: "if (Number.isNaN(attempt)) {" }],
  },
  {
    name: "subset not looked at by the caller",
    test: "while the subset is empty requests wait",
    edits: [{ file: "requests/subset-plans.ts", find: "if (declaration.subset === undefined) return plan;", put: "return plan;" }],
  },
  {
    name: "rule not asked by the server",
    test: "a copy sent as a read is refused by a server whose newest rule",
    edits: [{ file: "requests/served-link.ts", find: 'return effectOfBody(rule, this.#reader.body()) === "write";', put: "return false;" }],
  },
  {
    name: "operator overruled by a server",
    test: "what an operator has set stays",
    edits: [
      {
        file: "requests/declarations.ts",
        find: 'if (before === undefined || !isRecord(before) || before["by"] !== operator) return rowOf(declared);',
        put: "return rowOf(declared);",
      },
    ],
  },
  {
    name: "write asked of several",
    test: "a write is not gathered",
    edits: [
      { file: "requests/sender.ts", find: 'if (request.neverWrite && request.effect === "write") {', put: "if (Number.isNaN(attempts)) {" },
    ],
  },
  {
    name: "gather forgets the losers",
    test: "ends with the first answer, more than half",
    edits: [
      {
        file: "requests/gather.ts",
        find: "const error = notAwaited(server, why);\n      this.#missing.push({ server, error });\n      controller.abort(error);",
        put: "this.#missing.push({ server, error: notAwaited(server, why) });",
      },
    ],
  },
  {
    name: "gather waits for who has left",
    test: "a member that leaves the roll meanwhile",
    edits: [
      { file: "requests/gatherer.ts", find: "for (const server of gone) gather.lost(", put: "for (const server of []) gather.lost(" },
    ],
  },
  {
    name: "fast failure ends a gather",
    test: "success beats a fast failure",
    edits: [
      {
        file: "requests/gather.ts",
        find: "const isHopeless = this.#answers.length + this.#pending.size < this.#wanted;",
        put: "const isHopeless = this.#missing.length > 0;",
      },
    ],
  },
  {
    name: "dropped copy is not told",
    test: "the one that has begun is heard no more",
    edits: [{ file: "requests/served-link.ts", find: 'this.#refuse(id, attempt, "twin", why);', put: "void why;" }],
  },
  {
    name: "servers do not tell each other",
    test: "servers tell each other",
    edits: [{ file: "requests/copies.ts", find: "this.#ports.sender.tie(request, twin);", put: "void twin;" }],
  },
  {
    name: "drop that comes before its copy is lost",
    test: "a drop that comes before its copy",
    edits: [{ file: "requests/twins.ts", find: "if (isCaller) this.#tombstones.add(", put: "if (!isCaller) this.#tombstones.add(" }],
  },
  {
    name: "datagram begins although its copy has come",
    test: "a datagram that comes after its copy",
    edits: [{ file: "requests/multicast-link.ts", find: "if (this.#window?.has(sequence) === true) return false;", put: "" }],
  },
  {
    name: "whoever listens takes what is said to another",
    test: "is ignored by a host outside of the subset",
    edits: [
      {
        file: "requests/multicast-ears.ts",
        find: "const link = known.links.get(entry.ear);",
        put: "const [link] = known.links.values();",
      },
    ],
  },
  {
    name: "lost datagrams are not made up for",
    test: "who does not hear gets its copy over the link",
    edits: [{ file: "requests/multicast-choir.ts", find: "overLink(copy, said.sequence);", put: "void overLink;" }],
  },
  {
    name: "cancel does not keep its datagram away",
    test: "what is taken back before its datagram comes",
    edits: [
      {
        file: "requests/sender.ts",
        find: "const sequence = request.said?.get(attempt);",
        put: "const sequence = request.said?.get(attempt * 0 - 1);",
      },
    ],
  },
  {
    name: "who hears nothing is asked by datagram for ever",
    test: "who does not hear gets its copy over the link",
    edits: [{ file: "requests/multicast-hearing.ts", find: "this.#isOn = false;", put: "" }],
  },
  {
    name: "datagrams without the caller's key are believed",
    test: "a datagram that somebody else has changed",
    edits: [{ file: "requests/multicast-wire.ts", find: "decipher.final();", put: "" }],
  },
  {
    name: "near whatever it takes",
    test: "further when that is too much for those nearby",
    edits: [{ file: "requests/choose.ts", find: "const farFactor = 2;", put: "const farFactor = 1e9;" }],
  },
  {
    name: "near or far is the same",
    test: "to this program's own host at low load",
    edits: [{ file: "requests/choose.ts", find: "const farFactor = 2;", put: "const farFactor = 0.1;" }],
  },
  {
    name: "one of two choices is being taken out of use",
    test: "never to one that is being taken out of use",
    edits: [
      { file: "requests/route-plan.ts", find: "(areAllPassedOver || !isPassedOver(this.#replica, other))", put: "!areAllPassedOver" },
    ],
  },
  {
    name: "trace is not said to be there",
    test: "comes to its handler, and goes on with what the handler asks",
    edits: [{ file: "requests/message-writer.ts", find: "if (trace !== undefined) bytes[5] |= traceFlag;", put: "" }],
  },
  {
    name: "ordered writes lose their trace",
    test: "comes to the handler of an ordered write",
    edits: [{ file: "fleet/group-traces.ts", find: "this.#waiting.set(name, trace);", put: "" }],
  },
  ...furtherMutants,
];
