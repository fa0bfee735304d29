import { type Clock, MusterError, errorOf } from "../kernel/index.ts";
import type { Position, SlotClaim } from "../groups/index.ts";
import type { CarriedTrace, RequestBody } from "../requests/index.ts";
import type { GroupRows } from "./group-roll.ts";
import * as errors from "./group-errors.ts";
import { type Consistency, decodeReadAnswer, encodeBody, encodeRead } from "./group-wire.ts";
import type { Call } from "./group-write.ts";

const nothing: Position = { epoch: 0, index: 0 };

/** Another group has it; a map of this revision says which. Not for programs: whoever asks goes there. */
export class SlotMoved extends Error {
  readonly revision: number;

  constructor(revision: number) {
    super(`its slot has moved; the map says so at revision ${revision}`);
    this.revision = revision;
  }
}

/**
 * What this program has seen of each group, and reads by it: each answer names its position, and each question the highest that came,
 * so that nothing runs backwards and own writes are seen, whichever member answers.
 */
export class GroupReads {
  readonly #clock: Clock;
  readonly #rows: GroupRows;
  readonly #call: Call;
  readonly #seen = new Map<string, Position>();
  /** Reads at the synchronising host, which ask another one when that changes. */
  readonly #latest = new Set<LatestRead>();

  constructor(clock: Clock, rows: GroupRows, call: Call) {
    this.#clock = clock;
    this.#rows = rows;
    this.#call = call;
  }

  seen(group: string, position: Position): void {
    const known = this.#seen.get(group);
    if (known === undefined || position.epoch > known.epoch || (position.epoch === known.epoch && position.index > known.index))
      this.#seen.set(group, position);
  }

  /** The body of a read for any member. */
  question(group: string, consistency: Consistency | undefined, body: RequestBody | undefined, slot?: SlotClaim): Uint8Array {
    return encodeRead(consistency, this.#seen.get(group) ?? nothing, encodeBody(body), slot);
  }

  /** Undefined: only the synchronising host can say. Throws `SlotMoved`. */
  answered(group: string, answer: RequestBody): RequestBody | undefined {
    const read = decodeReadAnswer(answer);
    if (read === undefined) return answer;
    if (read.kind === "elsewhere") return undefined;
    if (read.kind === "moved") throw new SlotMoved(read.revision);
    this.seen(group, read.position);
    return read.answer;
  }

  /** A read at whoever synchronises; it moves along when that changes. */
  latest(
    target: { readonly group: string; readonly table: string; readonly type: string; readonly slot?: SlotClaim | undefined },
    body: RequestBody | undefined,
    deadlineMs: number,
    signal?: AbortSignal,
    carried?: CarriedTrace,
  ): Promise<RequestBody> {
    return new Promise((resolve, reject) => {
      const { group, table, type } = target;
      if (signal?.aborted === true) throw errors.aborted(group, type, "none", signal.reason);
      const content = this.question(group, "latest", body, target.slot);
      const dueMonoMs = this.#clock.monoMs() + deadlineMs;
      const read = new LatestRead({
        clock: this.#clock,
        group,
        leader: () => this.#rows.of(group)?.synchronising,
        ask: async (server, given) => {
          const leftMs = dueMonoMs - this.#clock.monoMs();
          return this.answered(
            group,
            await this.#call(table, server, type, content, { effect: "read", deadlineMs: leftMs, signal: given, carried }),
          );
        },
        ended: (answer, error) => {
          timer.cancel();
          signal?.removeEventListener("abort", abort);
          this.#latest.delete(read);
          if (error === undefined) resolve(answer);
          else reject(error);
        },
      });
      const abort = () => read.end(null, errors.aborted(group, type, "maybe", signal?.reason));
      signal?.addEventListener("abort", abort, { once: true });
      const timer = this.#clock.schedule(deadlineMs, () => read.end(null, errors.deadlineExceeded(group, type, "")));
      this.#latest.add(read);
      read.move();
    });
  }

  /** The group's row is another one. */
  changed(group: string): void {
    for (const read of this.#latest) if (read.group === group) read.move();
  }

  changedAll(): void {
    for (const read of this.#latest) read.move();
  }

  close(): void {
    for (const read of this.#latest) read.end(null, errors.closed("none"));
  }
}

interface LatestReadPorts {
  readonly clock: Clock;
  readonly group: string;
  readonly leader: () => string | undefined;
  /** Resolves with undefined when that server does not synchronise. */
  readonly ask: (server: string, signal: AbortSignal) => Promise<RequestBody | undefined>;
  readonly ended: (answer: RequestBody, error: Error | undefined) => void;
}

/** The server that the row names knows by itself that it is deposed, before the row says so here. */
const elsewherePauseMs = 20;

/** One read at one server at a time. */
class LatestRead {
  readonly #ports: LatestReadPorts;
  #server: string | undefined;
  #asking: AbortController | undefined;
  #isOver = false;

  constructor(ports: LatestReadPorts) {
    this.#ports = ports;
  }

  get group(): string {
    return this.#ports.group;
  }

  /** To whoever synchronises now, if that is somebody else. */
  move(): void {
    const server = this.#ports.leader();
    if (this.#isOver || server === undefined || server === this.#server) return;
    this.#server = server;
    this.#asking?.abort(moved());
    const asking = new AbortController();
    this.#asking = asking;
    this.#ports.ask(server, asking.signal).then(
      (answer) => {
        if (this.#asking !== asking) return;
        if (answer === undefined) this.#again(asking);
        else this.#finish(answer, undefined);
      },
      (thrown: unknown) => {
        if (this.#asking === asking) this.#finish(null, errorOf(thrown));
      },
    );
  }

  end(answer: RequestBody, error: Error | undefined): void {
    this.#asking?.abort(moved());
    this.#finish(answer, error);
  }

  #again(asked: AbortController): void {
    this.#ports.clock.schedule(elsewherePauseMs, () => {
      if (this.#asking !== asked) return;
      this.#server = undefined;
      this.move();
    });
  }

  #finish(answer: RequestBody, error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ports.ended(answer, error);
  }
}

function moved(): MusterError {
  return new MusterError("requests/cancelled", "another server is asked", { effect: "maybe" });
}
