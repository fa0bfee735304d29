import { type MusterError, limits } from "../kernel/index.ts";
import type { Finder } from "../find/index.ts";
import { type SlotPart, type SlotWanted, readSlotPart, writeSlotWanted } from "../groups/index.ts";
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
  valueAt,
} from "../requests/index.ts";
import type { RollNode } from "../roll/index.ts";
import type { Store } from "../storage/index.ts";
import { groupKey, instanceOfServer, partitionKey, slotOf } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { GroupCaller, checkDeadline } from "./group-caller.ts";
import { badOrderingKey, noKey, noStorage, notAServerOfMany } from "./group-errors.ts";
import { GroupKeys, type GroupTarget } from "./group-keys.ts";
import { KeyedReads } from "./group-keyed-reads.ts";
import { GroupNote } from "./group-note.ts";
import { type PartitionTarget, Partitions, RollOfPartition } from "./group-partition.ts";
import { GroupRows, RollOfGroup } from "./group-roll.ts";
import { GroupServer } from "./group-server.ts";
import { GroupStore } from "./group-store.ts";
import { groupTypes, readerOf } from "./group-wire.ts";
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
  readonly #maps: Partitions;
  #keyedReads: KeyedReads | undefined;
  readonly #servers = new Set<GroupServer>();
  #caller: GroupCaller | undefined;

  constructor(ports: FleetGroupsPorts) {
    this.#ports = ports;
    this.#keys = new GroupKeys(ports.node.replica, ports.finder);
    this.#maps = new Partitions(ports.node.replica);
  }

  /** Undefined: the key leads to no group. */
  request(
    key: string,
    type: string,
    body: RequestBody | undefined,
    options: GroupRequestOptions | undefined,
  ): Promise<RequestBody> | undefined {
    const ask = this.#wayTo(key, type, body, options);
    if (ask === undefined) return undefined;
    const { tracer } = this.#ports;
    return tracer === undefined ? ask(carriedTrace(options)) : askTraced(tracer, key, type, options, ask);
  }

  #wayTo(
    key: string,
    type: string,
    body: RequestBody | undefined,
    options: GroupRequestOptions | undefined,
  ): ((carried: CarriedTrace | undefined) => Promise<RequestBody>) | undefined {
    const shared = this.#maps.target(key, options?.table);
    if (shared !== undefined) return (carried) => this.#requestByKey(shared, type, body, options, carried);
    const target = this.#keys.of(key, options);
    if (target === undefined) return undefined;
    return (carried) =>
      this.#isRead(`${target.instance}.0`, type, options)
        ? this.#read(target, type, body, options, carried)
        : this.#callerNow().write(target.table, target.instance, type, body, options, carried);
  }

  /** Which group it goes to is decided by its ordering key and the map, whichever server or instance was named. */
  #requestByKey(
    target: PartitionTarget,
    type: string,
    body: RequestBody | undefined,
    options: GroupRequestOptions | undefined,
    carried: CarriedTrace | undefined,
  ): Promise<RequestBody> {
    const { table, service } = target;
    const slot = slotOf(this.#orderingKey(target, type, body, options?.key));
    if (!this.#isRead(`${service}.0.0`, type, options)) return this.#callerNow().write(table, service, type, body, options, carried, slot);
    const { node, request } = this.#ports;
    this.#keyedReads ??= new KeyedReads(node, this.#maps, this.#callerNow().reads, request);
    return this.#keyedReads.read(target, slot, type, body, options ?? {}, carried);
  }

  #orderingKey({ service }: PartitionTarget, type: string, body: RequestBody | undefined, given: string | undefined): string {
    const { orderingKey } = declarationOf(this.#ports.node.replica, service, type);
    const isJson = body !== undefined && !(body instanceof Uint8Array);
    const found = given ?? (orderingKey !== undefined && isJson ? valueAt(body, orderingKey) : undefined);
    const key = typeof found === "number" ? String(found) : found;
    if (typeof key !== "string") throw noKey(service, type);
    if (key.length === 0 || !key.isWellFormed() || Buffer.byteLength(key) > limits.keyBytesMax) throw badOrderingKey(limits.keyBytesMax);
    return key;
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
      partition: options.group.byKey === true ? this.#partitionFor(table, instance) : undefined,
      send: (server: string, type: string, body: Uint8Array) => {
        // The group repeats what matters.
        call(table, server, type, body, { effect: "repeatable", deadlineMs: messageDeadlineMs }).catch(() => {});
      },
      write: (type: string, body: RequestBody, { deadlineMs, signal, trace }: RequestContext) => {
        const rest = { deadlineMs: Math.max(1, deadlineMs), signal };
        const carried = carriedTrace(trace);
        // Who knows nothing of keys may still have them in the body.
        const shared = options.group.byKey === true ? this.#maps.target(instance, table) : undefined;
        return shared === undefined
          ? this.#callerNow().write(table, instance, type, body, rest, carried)
          : this.#requestByKey(shared, type, body, rest, carried);
      },
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
    this.#keyedReads?.close();
    this.#caller?.close();
    await Promise.all([...this.#servers].map((server) => server.close()));
  }

  #partitionFor(table: string, instance: string): { readonly key: string; readonly roll: RollOfPartition } | undefined {
    const { node, call } = this.#ports;
    const service = instanceOfServer(instance);
    const key = service === undefined ? undefined : partitionKey(table, service);
    if (key === undefined) throw notAServerOfMany(instance);
    const rows = new GroupRows(node.replica);
    let asked = 0;
    const fetch = async (from: string, wanted: SlotWanted): Promise<SlotPart | undefined> => {
      const row = rows.of(groupKey(table, from) ?? "");
      if (row === undefined) return undefined;
      // Each member that is far enough gives the same; one that does not answer is not asked again at once.
      const others = row.members.map(({ server }) => server).filter((server) => server !== row.synchronising);
      const server = [row.synchronising, ...others][asked++ % row.members.length] ?? row.synchronising;
      const writer = new ByteWriter(256);
      writeSlotWanted(writer, wanted);
      const answer = await call(table, server, groupTypes.slot, writer.take(), { effect: "repeatable", deadlineMs: messageDeadlineMs });
      return answer === null ? undefined : readSlotPart(readerOf(answer));
    };
    return { key, roll: new RollOfPartition(node, key, instance, fetch) };
  }

  #callerNow(): GroupCaller {
    this.#caller ??= new GroupCaller(this.#ports.node, this.#ports.call);
    return this.#caller;
  }

  /** As for all requests: of what was declared and what the caller says the stricter counts, and an undeclared type is a write. */
  #isRead(server: string, type: string, options: RequestOptions | undefined): boolean {
    const { effect, sequence } = declarationOf(this.#ports.node.replica, serviceOf(server), type);
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
