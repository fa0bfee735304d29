import type { RequestMutant } from "./mutants.ts";

/** The same of what keeps one server, one caller or one type of request from harming the others. */
export const furtherMutants: readonly RequestMutant[] = [
  {
    name: "quick failures win requests",
    test: "elsewhere while one fails fast",
    edits: [
      {
        file: "requests/replies.ts",
        find: "else if (lane.load.failed(tookMs, others, lane.inFlight - 1, nowMonoMs)) chooser.eject(request, lane, nowMonoMs);",
        put: "",
      },
    ],
  },
  {
    name: "failing copy takes the request from one that waits",
    test: "elsewhere while one fails fast",
    edits: [{ file: "requests/choose.ts", find: "place !== request.lane?.place && !load.isFailing", put: "place !== request.lane?.place" }],
  },
  {
    name: "quick errors win requests",
    test: "no more to one that answers with errors of its own",
    edits: [
      {
        file: "requests/lane-load.ts",
        find: "Math.max(tookMs, others.answersMs), Math.max(tookMs, others.peakMs)",
        put: "tookMs, tookMs",
      },
    ],
  },
  {
    name: "number of a datagram stands for what it brought",
    test: "whoever knows the key silences nobody",
    edits: [
      {
        file: "requests/multicast-link.ts",
        find: "    this.#window?.take(sequence);",
        put: "    const isNew = this.#window?.take(sequence) ?? true;",
      },
      {
        file: "requests/multicast-link.ts",
        find: "return this.#brought.has(nameOf(sequence, idOf(body), attemptOf(body)))",
        put: "return !isNew",
      },
    ],
  },
  {
    name: "everybody waits for the budget",
    test: "no more than ten times what the budget can save",
    edits: [
      {
        file: "requests/sender.ts",
        find: "record === undefined || record.owing >= owingBursts * this.#ports.limits.retryBurst",
        put: "record === undefined",
      },
    ],
  },
];
