import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import type { Outcome, Position, RequestId, Submission } from "../../../src/groups/index.ts";
import { SimNode, type SimWorld } from "../../../src/testing/index.ts";
import { violation } from "../roll/violation.ts";
import type { Operation, Place, Value } from "./history.ts";
import { idText } from "./ids.ts";
import type { RollModel, RollView } from "./roll-model.ts";
import { type Order, orderBytes } from "./work.ts";

/** What a server says to a copy of a write. */
export type Reply =
  | { readonly kind: "committed"; readonly outcome: Outcome; readonly position: Position }
  | { readonly kind: "elsewhere" }
  | { readonly kind: "refused"; readonly code: string };

/** What a server says to a read: where it stood, or that it passes. */
export type ReadReply = { readonly value: Value; readonly position: Place } | "pass";

/** The servers, as a caller reaches them: over paths that lose, double and delay. Replies come back in the same way, or never. */
export interface Servers {
  readonly names: readonly string[];
  submit(caller: Caller, server: string, submission: Submission, replied: (reply: Reply) => void): void;
  ask(caller: Caller, server: string, submission: Submission, replied: (reply: Reply) => void): void;
  read(caller: Caller, server: string, key: string, from: Place | "latest", replied: (reply: ReadReply) => void): void;
  /** What an answer says; undefined for a handler's error. */
  resultOf(outcome: Uint8Array): string | null | undefined;
}

export interface CallerOptions {
  readonly name: string;
  readonly keys: readonly string[];
  /** Requests at a time. */
  readonly window: number;
  readonly thinkMs: number;
  /** Copies go to all members, or to the synchronising host alone. */
  readonly copies: "all" | "one";
  readonly deadlineMs: readonly [number, number];
}

interface Write {
  readonly id: RequestId;
  readonly order: Order;
  readonly invokedMs: number;
  readonly deadlineMs: number;
  state: "open" | "asking" | "ended";
  known: boolean;
}

/** `result` undefined: the handler failed, and changed nothing. */
type End =
  | { readonly kind: "known"; readonly result: string | null | undefined; readonly position: Place }
  | { readonly kind: "abandoned" }
  | { readonly kind: "unknown" };

export interface CallerSums {
  acknowledged: number;
  reads: number;
  unknown: number;
  abandoned: number;
  refused: number;
}

const place: Place = { epoch: 0, index: 0 };
const askForMs = 400;

/** A program that writes and reads in a closed loop under one lease, and notes what it saw. */
export class Caller {
  readonly node: SimNode;
  readonly lease: string;
  readonly options: CallerOptions;
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #roll: RollModel;
  readonly #view: RollView;
  readonly #servers: Servers;
  readonly #history: Operation[];
  readonly #sums: CallerSums;
  readonly #leaseRevision: string;
  readonly #open = new Map<number, Write>();
  readonly #past: Write[] = [];
  readonly #ends = new Map<Write, () => void>();
  readonly #unknown: Write[] = [];
  /** What it was told was judged when a loss was accepted. */
  isOld = false;
  #sequence = 0;
  #highest = place;
  #stopped = false;

  constructor(
    ports: { readonly world: SimWorld; readonly random: Random; readonly roll: RollModel; readonly servers: Servers },
    options: CallerOptions,
    history: Operation[],
    sums: CallerSums,
  ) {
    const { world, random, roll, servers } = ports;
    this.#world = world;
    this.#random = random;
    this.#roll = roll;
    this.#servers = servers;
    this.#history = history;
    this.#sums = sums;
    this.options = options;
    this.node = new SimNode(world, { name: options.name });
    this.lease = options.name;
    this.#leaseRevision = roll.grant(this.lease);
    this.#view = roll.open(this.node.life, 0, 0);
    this.#view.observe(() => this.#resendAll());
    for (let at = 0; at < options.window; at++) this.#think();
  }

  get alive(): boolean {
    return this.node.alive;
  }

  /** Requests without an outcome. */
  get open(): number {
    return this.#open.size;
  }

  /** Begins nothing new. */
  stop(): void {
    this.#stopped = true;
  }

  /** Its program is gone, and sooner or later the roll ends its lease; copies of its writes may still be flying. */
  die(): void {
    // What it sent long ago may still be on its way.
    for (const write of this.#past.slice(-3)) this.#ghost(write);
    this.#giveUp();
    this.node.crash();
    this.#world.after(20 + 100 * this.#random.fraction(), () => this.#roll.end(this.lease));
  }

  #after(delayMs: number, act: () => void): void {
    this.node.life.plan(this.#world.nowMs + delayMs, "timer", act);
  }

  #think(): void {
    this.#after(this.options.thinkMs * 2 * this.#random.fraction(), () => {
      if (this.#stopped) return;
      const luck = this.#random.fraction();
      if (luck < 0.6) this.write(this.#order());
      else void this.read(this.#key(), luck < 0.75 ? "latest" : "session", () => this.#think());
    });
  }

  #key(): string {
    return this.options.keys[randomBelow(this.#random, this.options.keys.length)] ?? "a";
  }

  #order(): Order {
    const key = this.#key();
    const argument = `${this.lease}.${this.#sequence + 1};`;
    const luck = this.#random.fraction();
    const slowMs = this.#random.fraction() < 0.1 ? 20 * this.#random.fraction() : undefined;
    const fails = this.#random.fraction() < 0.06 ? (true as const) : undefined;
    const base = { key, ...(slowMs === undefined ? {} : { slowMs }), ...(fails === undefined ? {} : { fails }) };
    if (luck < 0.5) return { ...base, kind: "append", argument };
    if (luck < 0.6) return { ...base, kind: "put", argument };
    if (luck < 0.75) return { ...base, kind: "add", key: "count", argument: "1" };
    if (luck < 0.95) return { ...base, kind: "cas", argument, expected: this.#random.fraction() < 0.5 ? null : this.#lastSeen(key) };
    return { ...base, kind: "delete" };
  }

  #lastSeen(key: string): Value {
    const seen = this.#history.findLast((one) => one.client === this.lease && one.key === key && one.kind.endsWith("read"));
    return seen?.result ?? null;
  }

  get #low(): number {
    let low = this.#sequence + 1;
    for (const sequence of this.#open.keys()) low = Math.min(low, sequence);
    return low;
  }

  #submission({ id, order, deadlineMs }: Write, body = orderBytes(order)): Submission {
    const leftMs = Math.max(1, deadlineMs - this.#world.nowMs);
    return { id, low: Math.min(this.#low, id.sequence), leaseRevision: this.#leaseRevision, type: order.kind, body, leftMs };
  }

  #targets(): readonly string[] {
    const row = this.#view.row();
    if (row === undefined) return this.#servers.names;
    // Now and then somebody is asked who is no member, or no longer.
    if (this.#random.fraction() < 0.05) return this.#servers.names;
    return this.options.copies === "all" ? row.members.map(({ server }) => server) : [row.synchronising];
  }

  write(order: Order, ended: () => void = () => this.#think()): void {
    const sequence = ++this.#sequence;
    const [least, most] = this.options.deadlineMs;
    const { nowMs } = this.#world;
    const write: Write = {
      id: { lease: this.lease, sequence },
      order,
      invokedMs: nowMs,
      deadlineMs: nowMs + least + (most - least) * this.#random.fraction(),
      state: "open",
      known: false,
    };
    this.#open.set(sequence, write);
    this.#past.push(write);
    this.#ends.set(write, ended);
    this.#send(write);
  }

  /** Under the same id each time. */
  #send(write: Write): void {
    if (write.state !== "open") return;
    if (this.#world.nowMs >= write.deadlineMs) {
      this.#runOut(write);
      return;
    }
    const submission = this.#submission(write);
    for (const server of this.#targets()) this.#servers.submit(this, server, submission, (reply) => this.#hear(write, reply));
    this.#after(Math.min(40 + 80 * this.#random.fraction(), write.deadlineMs - this.#world.nowMs + 0.01), () => this.#send(write));
  }

  #resendAll(): void {
    for (const write of this.#open.values()) {
      const submission = this.#submission(write);
      for (const server of this.#targets())
        if (write.state === "open") this.#servers.submit(this, server, submission, (reply) => this.#hear(write, reply));
    }
  }

  #hear(write: Write, reply: Reply): void {
    if (write.state === "ended" || reply.kind === "elsewhere") return;
    if (reply.kind === "refused") {
      // Another copy may be on its way to where it runs, so it goes on; but nobody may say such a thing of an open request.
      if (reply.code === "groups/expired" || reply.code === "groups/id-reused")
        violation("I16", `${idText(write.id)} is open, and was told ${reply.code}`);
      this.#sums.refused++;
      return;
    }
    const { outcome, position } = reply;
    this.#see(position);
    switch (outcome.kind) {
      case "abandoned":
        this.#end(write, { kind: "abandoned" });
        return;
      case "failed":
        this.#end(write, { kind: "known", result: undefined, position });
        return;
      case "answer":
        this.#end(write, { kind: "known", result: this.#servers.resultOf(outcome.bytes), position });
    }
  }

  #see(position: Place): void {
    if (position.index > this.#highest.index) this.#highest = position;
  }

  /** The deadline has passed: nobody knows, until it asks. */
  #runOut(write: Write): void {
    if (this.#random.fraction() < 0.5) {
      this.#end(write, { kind: "unknown" });
      return;
    }
    write.state = "asking";
    const untilMs = this.#world.nowMs + askForMs;
    const ask = () => {
      if (write.state !== "asking") return;
      if (this.#world.nowMs > untilMs) {
        this.#end(write, { kind: "unknown" });
        return;
      }
      for (const server of this.#targets()) this.#servers.ask(this, server, this.#submission(write), (reply) => this.#hear(write, reply));
      this.#after(60, ask);
    };
    ask();
  }

  #end(write: Write, end: End): void {
    write.state = "ended";
    this.#open.delete(write.id.sequence);
    switch (end.kind) {
      case "known": {
        this.#sums.acknowledged++;
        write.known = true;
        const { result, position } = end;
        if (result !== undefined) this.#note(write, { result, position, respondedMs: this.#world.nowMs });
        break;
      }
      case "abandoned":
        this.#sums.abandoned++;
        write.known = true;
        break;
      case "unknown":
        this.#sums.unknown++;
        this.#unknown.push(write);
    }
    const ended = this.#ends.get(write);
    this.#ends.delete(write);
    if (this.#random.fraction() < 0.08) this.#misbehave();
    ended?.();
  }

  #note({ order: { kind, key, argument, expected, fails }, invokedMs }: Write, end: Partial<Operation>): void {
    // What throws in any case never has an effect.
    if (fails !== true) this.#history.push({ client: this.lease, key, kind, argument, expected, invokedMs, ...end });
  }

  /** Its program dies: what is open has no outcome. */
  #giveUp(): void {
    this.#unknown.push(...this.#open.values());
    this.#open.clear();
  }

  /** The run has ended: of what has no known outcome, that which took effect belongs into the history; by now the log knows. */
  noteUnknown(hasEffect: (id: string) => boolean): void {
    this.#giveUp();
    for (const write of this.#unknown.splice(0)) if (hasEffect(idText(write.id))) this.#note(write, {});
  }

  /** Of what it did before a loss was accepted something has happened since. */
  noteAgain(hasEffect: (id: string) => boolean, fromMs: number): void {
    for (const write of this.#past) if (hasEffect(idText(write.id))) this.#note({ ...write, invokedMs: fromMs }, {});
  }

  #ghost(write: Write): void {
    const submission = this.#submission({ ...write, deadlineMs: this.#world.nowMs + 300 });
    const lateMs = 400 * this.#random.fraction();
    for (const server of this.#servers.names) this.#world.after(lateMs, () => this.#servers.submit(this, server, submission, () => {}));
  }

  /** A request that has ended is sent once more, as it was or with another body. Neither may have an effect. */
  #misbehave(): void {
    const write = this.#past[randomBelow(this.#random, this.#past.length)];
    if (write === undefined || write.state !== "ended") return;
    // What has no known outcome may run under its new body.
    const isOther = write.known && this.#random.fraction() < 0.6;
    // Another body, or the same one as another type.
    const hasOtherType = isOther && this.#random.fraction() < 0.4;
    const argument = `${idText(write.id)} with another body;`;
    const order: Order = isOther && !hasOtherType ? { ...write.order, kind: "append", argument } : write.order;
    const again = { ...write, deadlineMs: this.#world.nowMs + 200 };
    const submission = {
      ...this.#submission(again, orderBytes(order)),
      ...(hasOtherType ? { type: write.order.kind === "add" ? "put" : "add" } : {}),
    };
    for (const server of this.#targets())
      this.#servers.submit(this, server, submission, (reply) => {
        // Of what never ran nobody may know which body it had.
        if (reply.kind === "committed" && reply.outcome.kind !== "abandoned" && isOther)
          violation("I16", `${idText(write.id)} was answered under another body`);
      });
  }

  /** Until somebody answers or half a second has passed. */
  read(key: string, kind: "latest" | "session", ended: (found: boolean) => void): void {
    const invokedMs = this.#world.nowMs;
    const from = kind === "latest" ? "latest" : this.#highest;
    let isOpen = true;
    const finish = (found: boolean) => {
      if (!isOpen) return;
      isOpen = false;
      ended(found);
    };
    const attempt = () => {
      if (!isOpen) return;
      if (this.#world.nowMs > invokedMs + 500) {
        finish(false);
        return;
      }
      const { names } = this.#servers;
      const server = kind === "latest" ? this.#view.row()?.synchronising : names[randomBelow(this.#random, names.length)];
      if (server !== undefined)
        this.#servers.read(this, server, key, from, (reply) => {
          if (!isOpen || reply === "pass") return;
          const { value, position } = reply;
          const operationKind = kind === "latest" ? "read" : "session-read";
          const { nowMs: respondedMs } = this.#world;
          this.#history.push({ client: this.lease, key, kind: operationKind, invokedMs, respondedMs, result: value, position });
          this.#see(position);
          this.#sums.reads++;
          finish(true);
        });
      this.#after(15 + 30 * this.#random.fraction(), attempt);
    };
    attempt();
  }
}
