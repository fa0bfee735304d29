import type { Mutant } from "../mutants.ts";

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
        find: 'if (target.effect === "write" && effect !== "write") {',
        put: "if (Number.isNaN(attempt)) {",
      },
    ],
  },
  {
    name: "error beats late success",
    test: "an error of the attempt that was left",
    edits: [
      {
        file: "requests/caller.ts",
        find: "if (attemptOf(body) === request.attempt) this.#fail(request, parseError(body));",
        put: "this.#fail(request, parseError(body));",
      },
    ],
  },
  {
    name: "losing attempt goes on",
    test: "an error of the attempt that was left",
    edits: [
      {
        file: "requests/caller.ts",
        find: 'if (attempt !== request.attempt) this.#sender.drop(request, "another attempt was answered");',
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
];
