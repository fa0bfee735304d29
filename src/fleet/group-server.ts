import { type Clock, type Random, type Telemetry, MusterError } from "../kernel/index.ts";
import {
  type GroupMachine,
  GroupMember,
  type GroupPartition,
  type GroupStatus,
  type KeyedReader,
  type Position,
  type SlotClaim,
  type SlottedState,
  type SlotVerdict,
  readSlotWanted,
  writeSlotPart,
} from "../groups/index.ts";
import { type RequestBody, type RequestContext, type ServedType, type Tracer, passOn } from "../requests/index.ts";
import { withoutMembers } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { badGroup, noKey, notARead, reservedType } from "./group-errors.ts";
import type { GroupOptions, GroupReadContext, GroupReadType, GroupType } from "./group.ts";
import { HookedMachine, WatchedMachine, keyedMachine, slottedMachine } from "./group-machine.ts";
import { requestIdOf } from "./group-request-id.ts";
import { type RollOfGroup, revisionOfLease } from "./group-roll.ts";
import type { GroupStore } from "./group-store.ts";
import { GroupTraces } from "./group-traces.ts";
import {
  type Consistency,
  type GroupRead,
  decodeCopy,
  decodeGroupMessage,
  decodeQuestion,
  decodeRead,
  encodeGroupMessage,
  encodeReadAnswer,
  encodeReadElsewhere,
  encodeReadMoved,
  encodeSettled,
  groupTypes,
  readerOf,
  reservedPrefix,
} from "./group-wire.ts";

export interface GroupServerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly store: GroupStore;
  readonly roll: RollOfGroup;
  /** Where the groups of the service share its keys; with it goes `byKey`. */
  readonly partition: { readonly key: string; readonly roll: GroupPartition } | undefined;
  /** One way, to another server of the group. */
  readonly send: (server: string, type: string, body: Uint8Array) => void;
  /** This server cannot come into its group (undefined: no longer so). */
  readonly apart: (why: MusterError | undefined) => void;
  /** Orders a write for a caller that does not know of the group. */
  readonly write: (type: string, body: RequestBody, context: RequestContext) => Promise<RequestBody>;
  readonly tracer: Tracer | undefined;
}

/** So long a member that is not there yet keeps a read, before it passes it on; the synchronising host keeps it to its deadline. */
const behindMs = 25;
const handOverPauseMs = 50;
const takingOverPauseMs = 10;
const nothing: Position = { epoch: 0, index: 0 };

/** A read that waits for the state to move on. */
interface Waiter {
  readonly isHere: () => boolean;
  readonly here: () => void;
}

/**
 * One server's place in its group, as its callers see it: writes come as copies and are ordered, reads are answered from what is committed
 * here if that is new enough, and messages between members pass through.
 */
export class GroupServer {
  readonly #ports: GroupServerPorts;
  readonly #server: string;
  readonly #types: Readonly<Record<string, GroupType>>;
  readonly #member: GroupMember;
  readonly #state: KeyedReader;
  /** Instead, where groups share keys. */
  readonly #slots: SlottedState | undefined;
  readonly #group: string;
  readonly #traces: GroupTraces;
  readonly #waiters = new Set<Waiter>();
  readonly #unobserve: () => void;
  #isOpen = false;
  #isClosed = false;
  #looksSoon = false;

  /** `group`: key of the group's row. Throws `fleet/reserved-type` and `fleet/bad-group`. */
  constructor(ports: GroupServerPorts, group: string, server: string, options: GroupOptions, types: Readonly<Record<string, GroupType>>) {
    this.#ports = ports;
    this.#server = server;
    this.#types = types;
    checkTypes(types, options.machine !== undefined);
    this.#group = group;
    const traces = new GroupTraces(server, ports.tracer);
    this.#traces = traces;
    const { clock, random, telemetry, store, roll, partition } = ports;
    if (partition !== undefined && options.machine !== undefined) throw badGroup("a machine of its own keeps no state by key");
    const isKeyed = options.machine === undefined && partition === undefined;
    const keyed = isKeyed ? keyedMachine(group, types, traces) : undefined;
    this.#state = keyed ?? noRows;
    this.#slots = partition === undefined ? undefined : slottedMachine(partition.key, types, traces);
    const machine: GroupMachine = this.#slots ?? keyed ?? hooked(group, options, traces);
    const moved = () => this.#lookSoon();
    this.#member = new GroupMember({
      server,
      ...(options.copiesMin === undefined ? {} : { copiesMin: options.copiesMin }),
      ports: {
        clock,
        random,
        telemetry,
        store,
        roll,
        machine: new WatchedMachine(machine, moved),
        readable: moved,
        apart: ports.apart,
        ...(partition === undefined ? {} : { partition: partition.roll }),
        send: (to, message) => ports.send(to, groupTypes.message, encodeGroupMessage(server, message)),
      },
    });
    this.#unobserve = roll.observe(moved);
  }

  /** What is answered on the server's port: the program's types and those of the group. */
  get types(): Readonly<Record<string, ServedType>> {
    const types: Record<string, ServedType> = {
      [groupTypes.message]: { effect: "repeatable", handle: (body) => this.#receive(body) },
      [groupTypes.ordered]: { effect: "repeatable", handle: (body, context) => this.#order(body, context) },
      [groupTypes.ask]: { effect: "repeatable", handle: (body, context) => this.#ask(body, context) },
      [groupTypes.slot]: { effect: "repeatable", handle: (body) => this.#give(body) },
    };
    for (const [name, type] of Object.entries(this.#types))
      if (type.effect === "read") {
        const { handle: _handle, consistency: _consistency, ...declared } = type;
        types[name] = { ...declared, handle: (body, context) => this.#read(type, body, context) };
      } else {
        const { effect, orderingKey } = type;
        const declared = orderingKey === undefined ? { effect } : { effect, orderingKey };
        types[name] = { ...declared, handle: (body, context) => this.#orderFor(name, body, context) };
      }
    return types;
  }

  status(): GroupStatus {
    return this.#member.status();
  }

  /** Takes part from now on: founds the group, joins it, or goes on where it was. The server is on the roll and valid before. */
  async open(): Promise<void> {
    await this.#member.open();
    this.#isOpen = true;
    this.#lookSoon();
  }

  /**
   * Leaves while others can go on: the next epoch is without this server. Whoever is the only one stays named, because nobody else holds
   * the state. Gives up when the signal is aborted: then the roll takes it out with its entry.
   */
  async leave(signal: AbortSignal): Promise<void> {
    const { roll, clock } = this.#ports;
    while (!signal.aborted) {
      const row = roll.row();
      const next = row === undefined ? undefined : withoutMembers(row, (server) => server === this.#server);
      if (next === undefined) return;
      try {
        await roll.change(row, next);
        // It would join again.
        await this.close();
        return;
      } catch {
        await new Promise<void>((resolve) => clock.schedule(handOverPauseMs, resolve));
      }
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#unobserve();
      for (const { here } of this.#waiters) here();
    }
    await (this.#isOpen ? this.#member.close() : this.#ports.store.close());
  }

  #receive(body: RequestBody): null {
    const { from, message } = decodeGroupMessage(body);
    if (this.#isOpen) this.#member.receive(from, message);
    return null;
  }

  async #order(body: RequestBody, context: RequestContext): Promise<RequestBody> {
    const { id, low, slot, type, body: content } = decodeCopy(body);
    const leaseRevision = revisionOfLease(id.lease);
    if (!this.#isOpen) return encodeSettled({ kind: "elsewhere" });
    const copy = { id, low, leaseRevision, slot, type, body: content, leftMs: context.deadlineMs };
    const named = () => requestIdOf({ within: this.#ports.partition?.key ?? this.#group, slot: slot?.slot }, id);
    return encodeSettled(await this.#traces.during(named, context.trace, () => this.#member.submit(copy)));
  }

  async #ask(body: RequestBody, context: RequestContext): Promise<RequestBody> {
    const { id, low, slot } = decodeQuestion(body);
    const leaseRevision = revisionOfLease(id.lease);
    if (!this.#isOpen) return encodeSettled({ kind: "elsewhere" });
    return encodeSettled(await this.#member.ask({ id, low, leaseRevision, slot, leftMs: context.deadlineMs }));
  }

  /** A part of a slot that is sealed here, for the group that it goes to. */
  #give(body: RequestBody): Uint8Array | null {
    const wanted = readSlotWanted(readerOf(body));
    const part = this.#isOpen ? this.#member.slots.part(wanted) : undefined;
    if (part === undefined) return null;
    const writer = new ByteWriter(1024);
    writeSlotPart(writer, part);
    return writer.take();
  }

  /** Its caller has not heard of the group. What was sent as a read may lie at several servers, each of which would order it. */
  #orderFor(type: string, body: RequestBody, context: RequestContext): Promise<RequestBody> {
    if (decodeRead(body) !== undefined) throw notARead(type);
    return this.#ports.write(type, body, context);
  }

  #read(type: GroupReadType, body: RequestBody, context: RequestContext): RequestBody | undefined | Promise<RequestBody | undefined> {
    const asked = decodeRead(body);
    const consistency = asked?.consistency ?? type.consistency ?? "session";
    const position = asked?.position ?? nothing;
    if (!this.#isOpen || this.#isClosed) throw passOn(`${this.#server} has not opened its part of the group`);
    if (this.#slots !== undefined) return this.#readByKey(type, asked, context, consistency);
    const answer = () => {
      const answered = type.handle(asked === undefined ? body : asked.body, new ReadContext(context, this.#state, consistency));
      if (asked === undefined) return answered;
      return answered instanceof Promise ? answered.then((value) => this.#readAnswer(value)) : this.#readAnswer(answered);
    };
    if (consistency === "latest") return this.#latest(context, asked !== undefined, answer);
    const isHere = () => this.#member.readSession(position) === "here";
    return isHere() ? answer() : this.#untilHere(isHere, context).then(answer);
  }

  /**
   * From the rows of one slot, if they are this group's when the handler begins, and when it has ended: what is dropped under its hands
   * is no answer. Whoever has a newer map than this member passes on.
   */
  async #readByKey(
    type: GroupReadType,
    asked: GroupRead | undefined,
    context: RequestContext,
    consistency: Consistency,
  ): Promise<RequestBody> {
    const slots = this.#slots;
    const claim = asked?.slot;
    if (slots === undefined || asked === undefined || claim === undefined) throw noKey(this.#server, "read");
    const answer = async (): Promise<RequestBody> => {
      const moved = this.#movedFrom(claim);
      if (moved !== undefined) return moved;
      const answered = await type.handle(asked.body, new ReadContext(context, slots.reader(claim.slot), consistency));
      return this.#movedFrom(claim) ?? this.#readAnswer(answered);
    };
    if (consistency === "latest") return (await this.#latest(context, true, answer)) ?? null;
    const isHere = () => this.#member.readSession(asked.position) === "here" && this.#member.slots.judge(claim) !== "hold";
    if (!isHere()) await this.#untilHere(isHere, context);
    return answer();
  }

  #movedFrom(claim: SlotClaim): Uint8Array | undefined {
    const verdict: SlotVerdict = this.#member.slots.judge(claim);
    if (verdict === "hold") throw passOn(`${this.#server} does not have that slot yet`);
    return verdict === "own" ? undefined : encodeReadMoved(verdict.moved);
  }

  /** Everything that the handler may have seen lies at or before the position here and now. */
  #readAnswer(answer: RequestBody | undefined): Uint8Array {
    return encodeReadAnswer(this.#member.position(), answer);
  }

  /** Whoever synchronises answers, as soon as it has taken over. */
  async #latest(
    context: RequestContext,
    isMarked: boolean,
    answer: () => RequestBody | undefined | Promise<RequestBody | undefined>,
  ): Promise<RequestBody | undefined> {
    const { clock, roll } = this.#ports;
    for (;;) {
      const isHere = await this.#member.readLatest(context.deadlineMs).then(
        () => true,
        (thrown: unknown) => {
          if (isOfAnother(thrown)) return false;
          throw thrown;
        },
      );
      if (isHere) return answer();
      if (this.#isClosed || roll.row()?.synchronising !== this.#server) break;
      if (context.deadlineMs === 0) throw passOn(`${this.#server} has not taken over yet`);
      await new Promise<void>((resolve) => clock.schedule(takingOverPauseMs, resolve));
    }
    if (isMarked) return encodeReadElsewhere();
    throw passOn(`${this.#server} does not synchronise`);
  }

  /** Who synchronises gets there as soon as it has taken over; others have it in a moment, or are asked in vain. */
  async #untilHere(isHere: () => boolean, context: RequestContext): Promise<void> {
    const { clock, roll } = this.#ports;
    const isLeader = roll.row()?.synchronising === this.#server;
    const waitMs = isLeader ? context.deadlineMs : Math.min(behindMs, context.deadlineMs);
    await new Promise<void>((resolve) => {
      const here = () => {
        this.#waiters.delete(waiter);
        timer.cancel();
        resolve();
      };
      const waiter = { isHere, here };
      const timer = clock.schedule(waitMs, here);
      this.#waiters.add(waiter);
    });
    if (this.#isClosed || !isHere()) throw passOn(`${this.#server} has not caught up`);
  }

  /** The state has moved on, or this server's place in the group is another one; at the end of the turn the member says so, too. */
  #lookSoon(): void {
    if (this.#looksSoon || this.#waiters.size === 0) return;
    this.#looksSoon = true;
    this.#ports.clock.turn(() => {
      this.#looksSoon = false;
      for (const { isHere, here } of this.#waiters) if (isHere()) here();
    });
  }
}

class ReadContext implements GroupReadContext {
  readonly state: KeyedReader;
  readonly consistency: Consistency;
  readonly #inner: RequestContext;

  constructor(inner: RequestContext, state: KeyedReader, consistency: Consistency) {
    this.#inner = inner;
    this.state = state;
    this.consistency = consistency;
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  get deadlineMs(): number {
    return this.#inner.deadlineMs;
  }

  get caller(): RequestContext["caller"] {
    return this.#inner.caller;
  }

  get requestId(): string {
    return this.#inner.requestId;
  }

  get attempt(): number {
    return this.#inner.attempt;
  }

  get trace(): RequestContext["trace"] {
    return this.#inner.trace;
  }
}

/** Somebody else synchronises, or nobody yet. */
function isOfAnother(thrown: unknown): boolean {
  return thrown instanceof MusterError && (thrown.code === "groups/not-synchronising" || thrown.code === "groups/deposed");
}

/** What `state` is where the program keeps its own. */
const noRows: KeyedReader = { get: () => undefined, list: () => [] };

function hooked(group: string, { machine }: GroupOptions, traces: GroupTraces): GroupMachine {
  if (machine === undefined) throw badGroup("there is no machine");
  return new HookedMachine(group, machine, traces);
}

function checkTypes(types: Readonly<Record<string, GroupType>>, hasMachine: boolean): void {
  for (const [name, type] of Object.entries(types)) {
    if (name.startsWith(reservedPrefix)) throw reservedType(name);
    const needsHandler = type.effect === "read" || !hasMachine;
    if (needsHandler && typeof type.handle !== "function") throw badGroup(`its type ${name} has no handler`);
  }
}
