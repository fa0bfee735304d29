import type { CarriedTrace, RequestBody, RequestOptions } from "../requests/index.ts";
import type { RollNode } from "../roll/index.ts";
import { tableNumbers } from "../tables/index.ts";
import { checkDeadline } from "./group-caller.ts";
import * as errors from "./group-errors.ts";
import type { PartitionTarget, Partitions, SlotPlace } from "./group-partition.ts";
import { type GroupReads, SlotMoved } from "./group-reads.ts";
import type { GroupRequestOptions } from "./group.ts";

type Request = (
  key: string,
  type: string,
  body: RequestBody,
  options: RequestOptions,
  carried: CarriedTrace | undefined,
) => Promise<RequestBody>;

/** Reads of services whose groups share their keys: each goes to the group that has its slot, and follows it. */
export class KeyedReads {
  readonly #node: RollNode;
  readonly #maps: Partitions;
  readonly #reads: GroupReads;
  readonly #request: Request;
  readonly #waiting = new Set<() => void>();
  readonly #unobserve: () => void;
  #isClosed = false;

  constructor(node: RollNode, maps: Partitions, reads: GroupReads, request: Request) {
    this.#node = node;
    this.#maps = maps;
    this.#reads = reads;
    this.#request = request;
    this.#unobserve = node.replica.observe({
      touched: (table) => {
        if (table === tableNumbers.partitions) this.#lookSoon();
      },
      host: () => {},
      reset: () => this.#lookSoon(),
    });
  }

  /** Rejects with what a read rejects with, and with `requests/deadline-exceeded` when the map does not come. */
  async read(
    target: PartitionTarget,
    slot: number,
    type: string,
    body: RequestBody | undefined,
    options: GroupRequestOptions,
    carried: CarriedTrace | undefined,
  ): Promise<RequestBody> {
    const { consistency, key: _key, ...rest } = options;
    const { clock } = this.#node.ports;
    const { table } = target;
    const dueMonoMs = clock.monoMs() + checkDeadline(rest.deadlineMs);
    let revisionMin = 0;
    for (;;) {
      const { instance, group, revision } = await this.#place(target, slot, revisionMin, dueMonoMs, type, rest.signal);
      const claim = { slot, revision };
      const deadlineMs = Math.max(1, dueMonoMs - clock.monoMs());
      const latest = (leftMs: number) => this.#reads.latest({ group, table, type, slot: claim }, body, leftMs, rest.signal, carried);
      try {
        if (consistency === "latest") return await latest(deadlineMs);
        const question = this.#reads.question(group, consistency, body, claim);
        const answered = await this.#request(instance, type, question, { ...rest, deadlineMs, table, effect: "read" }, carried);
        const answer = this.#reads.answered(group, answered);
        return answer === undefined ? await latest(Math.max(1, dueMonoMs - clock.monoMs())) : answer;
      } catch (thrown) {
        if (!(thrown instanceof SlotMoved)) throw thrown;
        revisionMin = Math.max(revisionMin, thrown.revision);
      }
    }
  }

  /** Idempotent. What waits for a map ends. */
  close(): void {
    this.#isClosed = true;
    this.#unobserve();
    for (const look of this.#waiting) look();
  }

  /** By a map that is new enough. */
  async #place(
    target: PartitionTarget,
    slot: number,
    revisionMin: number,
    dueMonoMs: number,
    type: string,
    signal: AbortSignal | undefined,
  ): Promise<SlotPlace> {
    const { clock } = this.#node.ports;
    for (;;) {
      const place = this.#maps.place(target, slot, revisionMin);
      if (place !== undefined) return place;
      const leftMs = dueMonoMs - clock.monoMs();
      if (this.#isClosed) throw errors.closed("none");
      if (signal?.aborted === true) throw errors.aborted(target.service, type, "none", signal.reason);
      if (leftMs <= 0) throw errors.deadlineExceeded(target.service, type, `: no map of revision ${revisionMin} came`);
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          timer.cancel();
          signal?.removeEventListener("abort", look);
          resolve();
        };
        const timer = clock.schedule(leftMs, look);
        signal?.addEventListener("abort", look, { once: true });
        this.#waiting.add(look);
      });
    }
  }

  #lookSoon(): void {
    for (const look of this.#waiting) look();
  }
}
