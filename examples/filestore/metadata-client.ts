import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "./errors.ts";
import { type FileRecord, type VersionedRecord, encodeFileName, parseFileRecord, parseVersionedRecord } from "./file-record.ts";
import { type Answer, type Call, CallFailure, type ServerCalls, readJsonAnswer, storeErrorOf } from "./http-client.ts";
import type { Fleet } from "./muster.ts";
import { partitionCount, partitionOf } from "./placement.ts";
import { requireAllPartitions } from "./sweep.ts";

const table = "metadata-partition";
/** How long a metadata server may be away before a request fails. */
const patienceMs = 5000;
const changeAttemptsMax = 64;

/** Decides on the record that shall stand there next, from the one that stands there now; undefined leaves it alone. */
export type Decide = (current: VersionedRecord | undefined) => FileRecord | "delete" | undefined;

/** The metadata servers, seen from a gateway or a bitfile server: every call goes to the one that the roll names at that moment. */
export class MetadataClient {
  readonly #fleet: Fleet;
  readonly #calls: ServerCalls;

  constructor(fleet: Fleet, calls: ServerCalls) {
    this.#fleet = fleet;
    this.#calls = calls;
  }

  async get(name: string): Promise<VersionedRecord | undefined> {
    const answer = await this.#ask(partitionOf("metadata", name), { method: "GET", path: pathOf(name) });
    if (answer.status === 404) return void answer.body.resume();
    if (answer.status !== 200) throw await storeErrorOf(answer);
    return parseVersionedRecord(await readJsonAnswer(answer));
  }

  /**
   * Compare and set until it holds. Resolves with the record that was replaced, when the change is durable.
   * A change whose answer was lost is found again by its object; when somebody has changed the file meanwhile, it cannot be
   * told whether ours stood there in between, and this throws `filestore/outcome-unknown` rather than guess.
   */
  async change(name: string, decide: Decide, known?: VersionedRecord | "absent"): Promise<VersionedRecord | undefined> {
    let current = known === undefined ? await this.get(name) : known === "absent" ? undefined : known;
    const startedMs = performance.now();
    for (let attempt = 0; attempt < changeAttemptsMax; attempt++) {
      const next = decide(current);
      if (next === undefined) return current;
      const headers = { "if-version": String(current?.version ?? "absent"), "content-type": "application/json" };
      let answer: Answer | undefined;
      try {
        const call: Call =
          next === "delete"
            ? { method: "DELETE", path: pathOf(name), headers }
            : { method: "PUT", path: pathOf(name), headers, body: Buffer.from(JSON.stringify(next)) };
        answer = await this.#ask(partitionOf("metadata", name), call);
      } catch (thrown) {
        if (!(thrown instanceof CallFailure) || performance.now() - startedMs > patienceMs) throw unavailable(name, thrown);
      }
      if (answer?.status === 200) {
        answer.body.resume();
        return current;
      }
      if (answer !== undefined && answer.status !== 412) throw await storeErrorOf(answer);
      answer?.body.resume();
      const now = await this.get(name);
      if (answer === undefined) {
        if (next === "delete" ? now === undefined : now?.object === next.object) return current;
        if (now?.version !== current?.version)
          throw new StoreError(503, "filestore/outcome-unknown", `"${name}" was changed by somebody else at the same moment`, {
            next: "read the file and decide again",
          });
      } else await delay(randomInt(1, 5 + attempt));
      current = now;
    }
    throw new StoreError(503, "filestore/contended", `"${name}" is changed by too many at once`, { next: "try again" });
  }

  /** One partition's part of a listing. */
  async list(partition: number, prefix: string, after: string, limit: number): Promise<{ records: FileRecord[]; more: boolean }> {
    const query = new URLSearchParams({ prefix, after, limit: String(limit) });
    const answer = await this.#ask(partition, { method: "GET", path: `/partitions/${partition}/files?${query}` });
    if (answer.status !== 200) throw await storeErrorOf(answer);
    const body = await readJsonAnswer(answer);
    const records: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "records") : undefined;
    if (!Array.isArray(records)) throw new CallFailure("a listing has no records", true);
    return { records: records.map(parseFileRecord), more: Reflect.get(Object(body), "more") === true };
  }

  /** Which objects belong to a file; fails unless every partition was answered for. */
  async references(objects: readonly string[]): Promise<ReadonlySet<string>> {
    const referenced = new Set<string>();
    const answered = new Set<number>();
    for (let partition = 0; partition < partitionCount; partition++) {
      if (answered.has(partition)) continue;
      const answer = await this.#ask(partition, { method: "POST", path: "/references", body: Buffer.from(JSON.stringify({ objects })) });
      if (answer.status !== 200) throw await storeErrorOf(answer);
      const body = Object(await readJsonAnswer(answer));
      for (const one of Array.from<unknown>(Reflect.get(body, "partitions") ?? [])) answered.add(Number(one));
      for (const one of Array.from<unknown>(Reflect.get(body, "referenced") ?? [])) referenced.add(String(one));
    }
    requireAllPartitions(answered, partitionCount);
    return referenced;
  }

  /**
   * Finds the partition's server and calls it. What cannot have run is tried again, as is every read, while patience lasts;
   * a change that may have run is the caller's to clear up.
   */
  async #ask(partition: number, call: Call): Promise<Answer> {
    const startedMs = performance.now();
    for (;;) {
      const route = this.#fleet.findPartition(table, partition);
      let failure: unknown = new CallFailure(`no server of metadata partition ${partition} is on the roll`, false);
      if (route !== undefined) {
        try {
          const answer = await this.#calls.call(route, call);
          if (answer.status !== 421) return answer;
          failure = await storeErrorOf(answer);
        } catch (thrown) {
          if (!(thrown instanceof CallFailure) || (thrown.mayHaveRun && (call.method === "PUT" || call.method === "DELETE"))) throw thrown;
          failure = thrown;
        }
      }
      if (performance.now() - startedMs > patienceMs) throw unavailable(`metadata partition ${partition}`, failure);
      await delay(50);
    }
  }
}

function pathOf(name: string): string {
  return `/partitions/${partitionOf("metadata", name)}/files/${encodeFileName(name)}`;
}

function unavailable(what: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  return new StoreError(503, "filestore/metadata-unavailable", `the metadata server of ${what} does not answer`, {
    next: "try again; `muster search metadata` shows which server is gone",
    headers: { "retry-after": "1" },
    cause,
  });
}
