import type { Finder } from "../find/index.ts";
import type { MusterError } from "../kernel/index.ts";
import {
  type CarriedTrace,
  type RequestBody,
  type RequestContext,
  type RequestOptions,
  type ServedType,
  type Tracer,
  askTraced,
  carriedTrace,
  declarationOf,
  serviceOf,
} from "../requests/index.ts";
import type { RollNode } from "../roll/index.ts";
import type { Store } from "../storage/index.ts";
import { groupKey, instanceOfServer } from "../tables/index.ts";
import { GroupCaller, checkDeadline } from "./group-caller.ts";
import { noStorage, notAServerOfMany } from "./group-errors.ts";
import { GroupKeys, type GroupTarget } from "./group-keys.ts";
import { GroupNote } from "./group-note.ts";
import { RollOfGroup } from "./group-roll.ts";
import { GroupServer } from "./group-server.ts";
import { GroupStore } from "./group-store.ts";
import type { Call } from "./group-write.ts";
import type { GroupRequestOptions, GroupServeOptions, ServedMember, WriteOutcome } from "./group.ts";
import type { ServedEntry } from "./fleet.ts";

export interface FleetGroupsPorts {
  readonly node: RollNode;
  readonly finder: Finder;
  /** To one server, past all that concerns groups. */
  readonly call: Call;
  /** To whichever server, past all that concerns groups. */
  readonly request: (
    key: string,
    type: string,
    body: RequestBody,
    options: RequestOptions,
    carried: CarriedTrace | undefined,
  ) => Promise<RequestBody>;
  readonly tracer: Tracer | undefined;
  readonly openStore: ((directory: string) => Store) | undefined;
}

/** Puts a server on the roll that answers these types. `leave` is awaited before it takes nothing new any more. */
export type ServeTypes = (
  types: Readonly<Record<string, ServedType>>,
  leave: (signal: AbortSignal) => Promise<void>,
) => Promise<ServedEntry>;

/** Messages between members are repeated by the groups themselves. */
const messageDeadlineMs = 1000;

/** A program's part in ordering groups, on both sides: what it serves of them, and what it asks of them. */
export class FleetGroups {
  readonly #ports: FleetGroupsPorts;
  readonly #keys: GroupKeys;
  readonly #servers = new Set<GroupServer>();
  #caller: GroupCaller | undefined;

  constructor(ports: FleetGroupsPorts) {
    this.#ports = ports;
    this.#keys = new GroupKeys(ports.node.replica, ports.finder);
  }

  /** Undefined: the key leads to no group. */
  request(
    key: string,
    type: string,
    body: RequestBody | undefined,
    options: GroupRequestOptions | undefined,
  ): Promise<RequestBody> | undefined {
    const target = this.#keys.of(key, options);
    if (target === undefined) return undefined;
    const { tracer } = this.#ports;
    const ask = (carried: CarriedTrace | undefined) =>
      this.#isRead(target, type, options)
        ? this.#read(target, type, body, options, carried)
        : this.#callerNow().write(target.table, target.instance, type, body, options, carried);
    return tracer === undefined ? ask(carriedTrace(options)) : askTraced(tracer, key, type, options, ask);
  }

  outcome(requestId: string, options: { readonly deadlineMs?: number }): Promise<WriteOutcome> {
    return this.#callerNow().outcome(requestId, options);
  }

  async serve(table: string, key: string, options: GroupServeOptions, serve: ServeTypes): Promise<ServedMember> {
    const { node, call, openStore } = this.#ports;
    const instance = instanceOfServer(key);
    const group = instance?.includes(".") === true ? groupKey(table, instance) : undefined;
    if (instance === undefined || group === undefined) throw notAServerOfMany(key);
    if (openStore === undefined) throw noStorage();
    const { data } = options.group;
    const store = new GroupStore(openStore(data), data, `${table}/${key}`);
    const { clock, random, telemetry } = node.ports;
    const note = new GroupNote(node, table, key);
    const ports = {
      clock,
      random,
      telemetry,
      store,
      apart: (why: MusterError | undefined) => note.say(why),
      roll: new RollOfGroup(node, group),
      send: (server: string, type: string, body: Uint8Array) => {
        // The group repeats what matters.
        call(table, server, type, body, { effect: "repeatable", deadlineMs: messageDeadlineMs }).catch(() => {});
      },
      write: (type: string, body: RequestBody, { deadlineMs, signal, trace }: RequestContext) =>
        this.#callerNow().write(table, instance, type, body, { deadlineMs: Math.max(1, deadlineMs), signal }, carriedTrace(trace)),
      tracer: this.#ports.tracer,
    };
    const server = new GroupServer(ports, group, key, options.group, options.types);
    await store.prepare();
    this.#servers.add(server);
    const ended = async () => {
      this.#servers.delete(server);
      note.close();
      await server.close();
    };
    let entry: ServedEntry | undefined;
    try {
      // A row of the group names servers that are on the roll and valid: so the entry comes first.
      entry = await serve(server.types, (signal) => server.leave(signal));
      // Of an earlier life.
      note.say(undefined);
      await server.open();
    } catch (thrown) {
      await entry?.close().catch(() => {});
      await ended();
      throw thrown;
    }
    return memberOf(entry, server, ended);
  }

  /** Idempotent. What is served has left the roll before. */
  async close(): Promise<void> {
    this.#keys.close();
    this.#caller?.close();
    await Promise.all([...this.#servers].map((server) => server.close()));
  }

  #callerNow(): GroupCaller {
    this.#caller ??= new GroupCaller(this.#ports.node, this.#ports.call);
    return this.#caller;
  }

  /** As for all requests: of what was declared and what the caller says the stricter counts, and an undeclared type is a write. */
  #isRead({ instance }: GroupTarget, type: string, options: RequestOptions | undefined): boolean {
    const { effect, sequence } = declarationOf(this.#ports.node.replica, serviceOf(`${instance}.0`), type);
    if (sequence === 0) return options?.effect === "read";
    return effect === "read" && (options?.effect ?? "read") === "read";
  }

  #read(
    target: GroupTarget,
    type: string,
    body: RequestBody | undefined,
    options: GroupRequestOptions | undefined,
    carried: CarriedTrace | undefined,
  ): Promise<RequestBody> {
    const { reads } = this.#callerNow();
    const { group, table, instance, server } = target;
    const { consistency, ...rest } = options ?? {};
    const deadlineMs = checkDeadline(rest.deadlineMs);
    const atLeader = (leftMs: number) => reads.latest({ group, table, type }, body, leftMs, rest.signal, carried);
    if (consistency === "latest" && server === undefined) return atLeader(deadlineMs);
    const { clock } = this.#ports.node.ports;
    const dueMonoMs = clock.monoMs() + deadlineMs;
    const question = reads.question(group, consistency, body);
    return this.#ports.request(server ?? instance, type, question, { ...rest, table, effect: "read" }, carried).then((answered) => {
      const answer = reads.answered(group, answered);
      // Its servers declare it as `latest`, and another one than the synchronising was asked.
      return answer === undefined ? atLeader(Math.max(1, dueMonoMs - clock.monoMs())) : answer;
    });
  }
}

function memberOf(entry: ServedEntry, server: GroupServer, ended: () => Promise<void>): ServedMember {
  return {
    table: entry.table,
    key: entry.key,
    group: { status: () => server.status() },
    update: (changes) => entry.update(changes),
    close: async () => {
      try {
        await entry.close();
      } finally {
        await ended();
      }
    },
  };
}
