import type { Outcome, Position, Question, RequestId, Settled, Submission } from "../../../src/groups/index.ts";
import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import { SimNode, type SimWorld } from "../../../src/testing/index.ts";
import { violation } from "../roll/violation.ts";
import type { Operation, Place } from "../writes/history.ts";
import { idText } from "./ids.ts";
import { type Order, orderBytes } from "./work.ts";

/** Whoever calls, as far as the paths need to know. */
export interface Calling {
  readonly node: SimNode;
}

/** The servers, as a caller reaches them: over paths that lose, double and delay. Replies come back in the same way, or never. */
export interface Servers {
  readonly names: readonly string[];
  submit(caller: Calling, server: string, submission: Submission, replied: (settled: Settled) => void): void;
  ask(caller: Calling, server: string, question: Question, replied: (settled: Settled) => void): void;
  /** What an answer says; undefined for a handler's error. */
  resultOf(outcome: Uint8Array): string | null | undefined;
}

export interface CallerOptions {
  readonly name: string;
  readonly keys: readonly string[];
  /** Requests at a time. */
  readonly window: number;
  readonly thinkMs: number;
  readonly deadlineMs: readonly [number, number];
}

export interface CallerPorts {
  readonly world: SimWorld;
  readonly random: Random;
  readonly roll: { grant(lease: string): string; end(lease: string): void };
  readonly servers: Servers;
}

export interface CallerSums {
  acknowledged: number;
  reads: number;
  unknown: number;
  abandoned: number;
  refused: number;
}

/** How often it does what. */
export interface Habits {
  readonly writes: number;
  /** Of all that it does, too; the rest are `session` reads. */
  readonly latestReads: number;
  /** After a request has ended it is sent once more: so often. */
  readonly misbehaves: number;
}

export interface Write {
  readonly id: RequestId;
  readonly order: Order;
  readonly invokedMs: number;
  readonly deadlineMs: number;
  state: "open" | "asking" | "ended";
  /** It has an outcome. */
  known: boolean;
}

/** A request as it would leave now. */
export interface Letter {
  readonly submission: Submission;
  /** Drawn anew by each call. */
  readonly targets: () => readonly string[];
}

/** `result` undefined: the handler failed, and changed nothing. */
type End =
  | { readonly kind: "known"; readonly result: string | null | undefined; readonly position: Place | undefined }
  | { readonly kind: "abandoned" }
  | { readonly kind: "unknown" };

export type ReadKind = "latest" | "session";

/** Asks once for the value of a key; calls back when somebody showed it, with what notes that in the history. */
export type Attempt = (shown: (note: (respondedMs: number) => void) => void) => void;

const askForMs = 400;

/** A program that writes and reads in a closed loop under one lease, and notes what it saw. Where it sends what, is each simulation's own. */
export abstract class OrderingCaller<Options extends CallerOptions = CallerOptions> {
  readonly node: SimNode;
  readonly lease: string;
  readonly options: Options;
  protected readonly world: SimWorld;
  protected readonly random: Random;
  protected readonly history: Operation[];
  protected readonly past: Write[] = [];
  readonly #roll: CallerPorts["roll"];
  readonly #servers: Servers;
  readonly #sums: CallerSums;
  readonly #habits: Habits;
  readonly #leaseRevision: string;
  readonly #open = new Map<number, Write>();
  readonly #ends = new Map<Write, () => void>();
  readonly #unknown: Write[] = [];
  #sequence = 0;
  #stopped = false;

  constructor(ports: CallerPorts, options: Options, noted: { readonly history: Operation[]; readonly sums: CallerSums }, habits: Habits) {
    const { world, random, roll, servers } = ports;
    this.world = world;
    this.random = random;
    this.#roll = roll;
    this.#servers = servers;
    this.history = noted.history;
    this.#sums = noted.sums;
    this.#habits = habits;
    this.options = options;
    this.node = new SimNode(world, { name: options.name });
    this.lease = options.name;
    this.#leaseRevision = roll.grant(this.lease);
  }

  /** What it would like to have done. */
  protected abstract order(): Order;
  /** Undefined while it does not know where to. */
  protected abstract letter(write: Write): Letter | undefined;
  /** A member of a group that has the key no longer says when to try again. */
  protected abstract heardOfMove(write: Write, submission: Submission, revision: number): void;
  /** It has seen so much of the log. Returns what the history notes of that. */
  protected abstract see(server: string, position: Position): Place | undefined;
  /** A request that has ended is sent or asked for once more. It has no effect, and no other outcome. */
  protected abstract misbehave(): void;
  protected abstract reading(key: string, kind: ReadKind, invokedMs: number): Attempt;

  /** When it knows the roll. */
  protected begin(): void {
    for (let at = 0; at < this.options.window; at++) this.#think();
  }

  get alive(): boolean {
    return this.node.alive;
  }

  /** Requests without an outcome. */
  get open(): number {
    return this.#open.size;
  }

  protected get openWrites(): Iterable<Write> {
    return this.#open.values();
  }

  /** Begins nothing new. */
  stop(): void {
    this.#stopped = true;
  }

  /** Its program is gone, and sooner or later the roll ends its lease; copies of its writes may still be flying. */
  die(): void {
    // What it sent long ago may still be on its way.
    for (const write of this.past.slice(-3)) this.#ghost(write);
    this.#giveUp();
    this.node.crash();
    this.world.after(20 + 100 * this.random.fraction(), () => this.#roll.end(this.lease));
  }

  protected after(delayMs: number, act: () => void): void {
    this.node.life.plan(this.world.nowMs + delayMs, "timer", act);
  }

  #think(): void {
    this.after(this.options.thinkMs * 2 * this.random.fraction(), () => {
      if (this.#stopped) return;
      const luck = this.random.fraction();
      const { writes, latestReads } = this.#habits;
      if (luck < writes) this.write(this.order());
      else this.read(this.#key(), luck < writes + latestReads ? "latest" : "session", () => this.#think());
    });
  }

  #key(): string {
    return this.options.keys[randomBelow(this.random, this.options.keys.length)] ?? "a";
  }

  /** What orders of all kinds have, and the luck that decides on the kind. */
  protected draft(): { readonly luck: number; readonly argument: string; readonly base: Pick<Order, "key" | "slowMs" | "fails"> } {
    const key = this.#key();
    const argument = `${this.lease}.${this.#sequence + 1};`;
    const luck = this.random.fraction();
    const slowMs = this.random.fraction() < 0.1 ? 20 * this.random.fraction() : undefined;
    const fails = this.random.fraction() < 0.06 ? (true as const) : undefined;
    return { luck, argument, base: { key, ...(slowMs === undefined ? {} : { slowMs }), ...(fails === undefined ? {} : { fails }) } };
  }

  get #low(): number {
    let low = this.#sequence + 1;
    for (const sequence of this.#open.keys()) low = Math.min(low, sequence);
    return low;
  }

  protected submission({ id, order, deadlineMs }: Write, body = orderBytes(order)): Submission {
    const leftMs = Math.max(1, deadlineMs - this.world.nowMs);
    return { id, low: Math.min(this.#low, id.sequence), leaseRevision: this.#leaseRevision, type: order.kind, body, leftMs };
  }

  write(order: Order, ended: () => void = () => this.#think()): void {
    const sequence = ++this.#sequence;
    const [least, most] = this.options.deadlineMs;
    const { nowMs } = this.world;
    const write: Write = {
      id: { lease: this.lease, sequence },
      order,
      invokedMs: nowMs,
      deadlineMs: nowMs + least + (most - least) * this.random.fraction(),
      state: "open",
      known: false,
    };
    this.#open.set(sequence, write);
    this.past.push(write);
    this.#ends.set(write, ended);
    this.#send(write);
  }

  /** Under the same id each time. */
  #send(write: Write): void {
    if (write.state !== "open") return;
    if (this.world.nowMs >= write.deadlineMs) {
      this.#runOut(write);
      return;
    }
    this.submit(write);
    this.after(Math.min(40 + 80 * this.random.fraction(), write.deadlineMs - this.world.nowMs + 0.01), () => this.#send(write));
  }

  protected submit(write: Write): void {
    const letter = this.letter(write);
    if (letter === undefined) return;
    const { submission } = letter;
    for (const server of letter.targets()) {
      if (write.state !== "open") return;
      this.#servers.submit(this, server, submission, (settled) => this.#hear(write, server, submission, settled));
    }
  }

  #hear(write: Write, server: string, submission: Submission, settled: Settled): void {
    if (settled.kind === "moved") {
      this.heardOfMove(write, submission, settled.revision);
      return;
    }
    if (write.state === "ended" || settled.kind === "elsewhere") return;
    if (settled.kind === "refused") {
      const { code } = settled.error;
      // Another copy may be on its way to where it runs, so it goes on; but nobody may say such a thing of an open request.
      if (code === "groups/expired" || code === "groups/id-reused") violation("I16", `${idText(write.id)} is open, and was told ${code}`);
      this.#sums.refused++;
      return;
    }
    this.#end(write, this.#endOf(settled.outcome, this.see(server, settled.position)));
  }

  #endOf(outcome: Outcome, position: Place | undefined): End {
    switch (outcome.kind) {
      case "abandoned":
        return { kind: "abandoned" };
      case "failed":
        return { kind: "known", result: undefined, position };
      case "answer":
        return { kind: "known", result: this.#servers.resultOf(outcome.bytes), position };
    }
  }

  /** The deadline has passed: nobody knows, until it asks. */
  #runOut(write: Write): void {
    if (this.random.fraction() < 0.5) {
      this.#end(write, { kind: "unknown" });
      return;
    }
    write.state = "asking";
    const untilMs = this.world.nowMs + askForMs;
    const ask = () => {
      if (write.state !== "asking") return;
      if (this.world.nowMs > untilMs) {
        this.#end(write, { kind: "unknown" });
        return;
      }
      this.#ask(write);
      this.after(60, ask);
    };
    ask();
  }

  #ask(write: Write): void {
    const letter = this.letter(write);
    if (letter === undefined) return;
    const { submission } = letter;
    for (const server of letter.targets())
      this.#servers.ask(this, server, { ...submission, leftMs: 200 }, (settled) => this.#hear(write, server, submission, settled));
  }

  #end(write: Write, end: End): void {
    write.state = "ended";
    this.#open.delete(write.id.sequence);
    switch (end.kind) {
      case "known": {
        this.#sums.acknowledged++;
        write.known = true;
        const { result, position } = end;
        if (result !== undefined) this.note(write, { result, position, respondedMs: this.world.nowMs });
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
    if (this.random.fraction() < this.#habits.misbehaves) this.misbehave();
    ended?.();
  }

  protected note({ order: { kind, key, argument, expected, fails }, invokedMs }: Write, end: Partial<Operation>): void {
    // What throws in any case never has an effect.
    if (fails !== true) this.history.push({ client: this.lease, key, kind, argument, expected, invokedMs, ...end });
  }

  /** Its program dies: what is open has no outcome. */
  #giveUp(): void {
    this.#unknown.push(...this.#open.values());
    this.#open.clear();
  }

  /** The run has ended: of what has no known outcome, that which took effect belongs into the history; by now the log knows. */
  noteUnknown(hasEffect: (id: string) => boolean): void {
    this.#giveUp();
    for (const write of this.#unknown.splice(0)) if (hasEffect(idText(write.id))) this.note(write, {});
  }

  /** Sent to where it would have gone now, and arriving long after. */
  #ghost(write: Write): void {
    const letter = this.letter({ ...write, deadlineMs: this.world.nowMs + 300 });
    if (letter === undefined) return;
    const lateMs = 400 * this.random.fraction();
    for (const server of this.#servers.names)
      this.world.after(lateMs, () => this.#servers.submit(this, server, letter.submission, () => {}));
  }

  /** Until somebody answers or half a second has passed. */
  read(key: string, kind: ReadKind, ended: (found: boolean) => void): void {
    const invokedMs = this.world.nowMs;
    const attempt = this.reading(key, kind, invokedMs);
    let isOpen = true;
    const finish = (found: boolean) => {
      if (!isOpen) return;
      isOpen = false;
      ended(found);
    };
    const goOn = () => {
      if (!isOpen) return;
      if (this.world.nowMs > invokedMs + 500) {
        finish(false);
        return;
      }
      attempt((note) => {
        if (!isOpen) return;
        note(this.world.nowMs);
        this.#sums.reads++;
        finish(true);
      });
      this.after(15 + 30 * this.random.fraction(), goOn);
    };
    goOn();
  }
}
