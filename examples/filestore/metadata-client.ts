import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "./errors.ts";
import { type FileRecord, type VersionedRecord, parseVersionedRecord } from "./file-record.ts";
import { type ChangeOutcome, type Expected, type RecordPage } from "./metadata-records.ts";
import { partitionTable } from "./metadata-types.ts";
import { type Fleet, type GroupRequestOptions, type JsonValue, MusterError, type RequestBody, UnknownOutcome } from "./muster.ts";
import { partitionCount, partitionOf } from "./placement.ts";
import { requireAllPartitions } from "./sweep.ts";

/** How long the servers of a partition may be away before a request fails. */
const patienceMs = 10_000;
const againMs = 50;
const changeAttemptsMax = 64;
/** It was asked too early, or of the wrong one: nothing was done. */
const passing: ReadonlySet<string> = new Set(["filestore/not-open", "filestore/wrong-server"]);

/** Decides on the record that shall stand there next, from the one that stands there now; undefined leaves it alone. */
export type Decide = (current: VersionedRecord | undefined) => FileRecord | "delete" | undefined;

/** The metadata servers, seen from a gateway or a bitfile server. Which of them answers is the library's to find out. */
export class MetadataClient {
  readonly #fleet: Pick<Fleet, "request" | "outcome">;

  constructor(fleet: Pick<Fleet, "request" | "outcome">) {
    this.#fleet = fleet;
  }

  async get(name: string): Promise<VersionedRecord | undefined> {
    const answer = await this.#read(partitionOf("metadata", name), "get", { name });
    return recordIn(fieldOf(answer, "record"));
  }

  /**
   * Compare and set until it holds. Resolves with the record that was replaced, when the change is durable on all servers of the
   * partition. Each attempt has one outcome, which `filestore/outcome-unknown` says nobody would tell in time.
   */
  async change(name: string, decide: Decide, known?: VersionedRecord | "absent"): Promise<VersionedRecord | undefined> {
    let current = known === undefined ? await this.get(name) : known === "absent" ? undefined : known;
    for (let attempt = 0; attempt < changeAttemptsMax; attempt++) {
      const next = decide(current);
      if (next === undefined) return current;
      const outcome = await this.#write(name, next, current?.version ?? "absent");
      if (outcome.done) return current;
      current = outcome.current;
      await delay(randomInt(1, 5 + attempt));
    }
    throw new StoreError(503, "filestore/contended", `"${name}" is changed by too many at once`, { next: "try again" });
  }

  /** One partition's part of a listing. */
  async list(partition: number, prefix: string, after: string, limit: number): Promise<RecordPage> {
    const answer = await this.#read(partition, "list", { partition, prefix, after, limit });
    const records = fieldOf(answer, "records");
    if (!Array.isArray(records)) throw malformed("a listing has no records");
    return { records: records.map(parseVersionedRecord), more: fieldOf(answer, "more") === true };
  }

  /** Which objects belong to a file, all that was committed before counted; fails unless every partition was answered for. */
  async references(objects: readonly string[]): Promise<ReadonlySet<string>> {
    const referenced = new Set<string>();
    const answered = new Set<number>();
    for (let partition = 0; partition < partitionCount; partition++) {
      if (answered.has(partition)) continue;
      const answer = await this.#ask(partition, "references", { objects }, { effect: "read", consistency: "latest" });
      for (const one of itemsOf(fieldOf(answer, "partitions"))) answered.add(Number(one));
      for (const one of itemsOf(fieldOf(answer, "referenced"))) referenced.add(String(one));
    }
    requireAllPartitions(answered, partitionCount);
    return referenced;
  }

  /** From whichever member is quicker; from the one that orders the writes when some are under way that may have been answered. */
  async #read(partition: number, type: string, body: JsonValue): Promise<RequestBody> {
    const answer = await this.#ask(partition, type, body, { effect: "read" });
    return fieldOf(answer, "settled") === true ? answer : this.#ask(partition, type, body, { effect: "read", consistency: "latest" });
  }

  async #write(name: string, next: FileRecord | "delete", expected: Expected): Promise<ChangeOutcome> {
    const partition = partitionOf("metadata", name);
    const answer =
      next === "delete"
        ? await this.#ask(partition, "delete", { name, expected }, {})
        : await this.#ask(partition, "put", { record: { ...next }, expected }, {});
    const version = fieldOf(answer, "version");
    if (fieldOf(answer, "done") !== true) return { done: false, current: recordIn(fieldOf(answer, "current")) };
    if (typeof version !== "number") throw malformed("a change has no version");
    return { done: true, version };
  }

  /** What has not run, or only reads, is asked again while patience lasts; the rest the library sees to. */
  async #ask(partition: number, type: string, body: JsonValue, options: GroupRequestOptions): Promise<RequestBody> {
    const endMs = performance.now() + patienceMs;
    for (let pauseMs = againMs; ; pauseMs *= 2) {
      const deadlineMs = Math.max(1, Math.ceil(endMs - performance.now()));
      try {
        return await this.#fleet.request(String(partition), type, body, { ...options, table: partitionTable, deadlineMs });
      } catch (thrown) {
        if (thrown instanceof UnknownOutcome) return this.#askAfter(thrown, partition);
        if (!(thrown instanceof MusterError)) throw thrown;
        if (thrown.code === "requests/unknown") throw outcomeUnknown(thrown);
        const isOurs = thrown.code.startsWith("filestore/") && !passing.has(thrown.code);
        if (isOurs) throw new StoreError(500, thrown.code, thrown.message, thrown.next === undefined ? {} : { next: thrown.next });
        const mayAsk = passing.has(thrown.code) || thrown.effect === "none" || options.effect === "read";
        if (!mayAsk || endMs - performance.now() < pauseMs) throw unavailable(partition, thrown);
      }
      await delay(randomInt(againMs, pauseMs + 1));
    }
  }

  async #askAfter(unknown: UnknownOutcome, partition: number): Promise<RequestBody> {
    const outcome = await this.#fleet.outcome(unknown.requestId, { deadlineMs: patienceMs }).catch(() => undefined);
    switch (outcome?.kind) {
      case "answer":
        return outcome.answer;
      case "failed":
        throw new StoreError(500, "filestore/internal", outcome.error.message, { cause: outcome.error });
      case "abandoned":
        throw unavailable(partition, unknown);
      default:
        throw outcomeUnknown(unknown);
    }
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function recordIn(value: unknown): VersionedRecord | undefined {
  return value === null || value === undefined ? undefined : parseVersionedRecord(value);
}

function outcomeUnknown(cause: Error): StoreError {
  return new StoreError(503, "filestore/outcome-unknown", `whether the change took effect is not known: ${cause.message}`, {
    next: "read the file and decide again",
    cause,
  });
}

function malformed(what: string): StoreError {
  return new StoreError(500, "filestore/malformed-answer", what, { next: "check that all servers of the store run the same version" });
}

function unavailable(partition: number, cause: Error): StoreError {
  return new StoreError(503, "filestore/metadata-unavailable", `no server of metadata partition ${partition} answers: ${cause.message}`, {
    next: "try again; `muster groups` and `muster search metadata` show which servers are gone",
    headers: { "retry-after": "1" },
    cause,
  });
}
