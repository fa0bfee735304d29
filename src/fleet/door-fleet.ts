import { type JsonValue, MusterError, type Revision, isRecord } from "../kernel/index.ts";
import type { Expiry, Fleet, HeartbeatOptions, Operation } from "./fleet.ts";
import { type QueryView, answerQuery } from "./queries.ts";
import { type EventJson, renderEvent } from "./render.ts";

/** What a door is given: a handle with a replica. */
export interface DoorSource extends QueryView {
  change: Fleet["change"];
  subscribe: Fleet["subscribe"];
  heartbeat(table: string, key: string, options: HeartbeatOptions & { readonly value?: JsonValue }): Promise<void>;
  readonly node: { readonly isReady: boolean; readonly lastError: MusterError | undefined };
}

interface DoorOperation {
  readonly op: "add" | "delete" | "set-valid";
  readonly table: string;
  readonly key: string;
  readonly value?: JsonValue;
  readonly valid?: boolean;
  readonly force?: boolean;
}

/** The JSON side of a fleet: what doors declare that they need. Everything is rendered as the CLI's `--json` is. */
export class DoorFleet {
  readonly #source: DoorSource;

  constructor(source: DoorSource) {
    this.#source = source;
  }

  get position(): Revision {
    return this.#source.position;
  }

  readiness(): { readonly ready: true } | { readonly ready: false; readonly reason: string } {
    const { node, detached } = this.#source;
    const why = node.lastError === undefined ? "" : `: ${node.lastError.message}`;
    if (!node.isReady) return { ready: false, reason: `the replica is not loaded yet${why}` };
    if (detached) return { ready: false, reason: `the node is detached, its lookups grow old${why}` };
    return { ready: true };
  }

  query(verb: string, args: JsonValue): JsonValue {
    return answerQuery(this.#source, verb, args);
  }

  change(operations: readonly DoorOperation[], options: Parameters<Fleet["change"]>[1]): Promise<Revision> {
    return this.#source.change(operations.map(parseOperation), options);
  }

  async heartbeat(
    table: string,
    key: string,
    options: { readonly maxPeriodMs: number; readonly onExpiry?: JsonValue; readonly value?: JsonValue },
  ): Promise<void> {
    const { maxPeriodMs, onExpiry, value } = options;
    await this.#source.heartbeat(table, key, {
      maxPeriodMs,
      ...(onExpiry === undefined ? {} : { onExpiry: parseExpiry(onExpiry) }),
      ...(value === undefined ? {} : { value }),
    });
  }

  subscribe(table: string, listener: (event: EventJson, position: Revision) => void): { cancel(): void } {
    return this.#source.subscribe({ tables: [table] }, (event) => listener(renderEvent(event), this.#source.position));
  }
}

function parseOperation({ op, table, key, value, valid, force }: DoorOperation): Operation {
  switch (op) {
    case "add":
      return { op, table, key, value: value ?? null, valid: valid ?? true };
    case "delete":
      return { op, table, key, force: force ?? false };
    case "set-valid":
      return { op, table, key, valid: valid ?? false };
  }
}

/** Throws `fleet/bad-expiry`. */
function parseExpiry(input: JsonValue): Expiry {
  if (isRecord(input))
    switch (input.action) {
      case "invalidate":
      case "delete":
        return { action: input.action };
      case "add": {
        const { table, key, value } = input;
        if (typeof table === "string" && typeof key === "string" && value !== undefined) return { action: "add", table, key, value };
        break;
      }
      case "hook":
        if (typeof input.name === "string") return { action: "hook", name: input.name };
        break;
      default:
        break;
    }
  throw new MusterError("fleet/bad-expiry", "what is to happen at the expiry cannot be read", {
    next: 'use { "action": "invalidate" }, "delete", { "action": "add", "table", "key", "value" } or { "action": "hook", "name" }',
  });
}
