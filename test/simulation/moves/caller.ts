import type { Question, Settled, SlotClaim, Submission } from "../../../src/groups/index.ts";
import { type Random, randomBelow } from "../../../src/kernel/index.ts";
import { ownerOf, slotOf } from "../../../src/tables/index.ts";
import { SimNode, type SimWorld } from "../../../src/testing/index.ts";
import type { Operation, Value } from "../writes/history.ts";
import { idText } from "../writes/ids.ts";
import { type Order, orderBytes } from "../writes/work.ts";
import { violation } from "../roll/violation.ts";
import type { MovesRoll, MovesView } from "./roll-model.ts";

export type ReadReply = { readonly value: Value; readonly index: number } | "pass" | { readonly moved: number };

/** The servers of all groups, as a caller reaches them. */
export interface MovesServers {
  readonly names: readonly string[];
  submit(caller: MovesCaller, server: string, submission: Submission, replied: (settled: Settled) => void): void;
  ask(caller: MovesCaller, server: string, question: Question, replied: (settled: Settled) => void): void;
  read(
    caller: MovesCaller,
    server: string,
    key: string,
    claim: SlotClaim,
    from: number | "latest",
    replied: (reply: ReadReply) => void,
  ): void;
  resultOf(outcome: Uint8Array): string | null | undefined;
}

export interface MovesCallerOptions {
  readonly name: string;
  readonly keys: readonly string[];
  readonly window: number;
  readonly thinkMs: number;
  readonly deadlineMs: readonly [number, number];
}

/** A `session` read that was answered. */
export interface SessionRead {
  readonly client: string;
  readonly key: string;
  readonly value: Value;
  readonly invokedMs: number;
  readonly respondedMs: number;
}

export interface MovesSums {
  acknowledged: number;
  reads: number;
  unknown: number;
  abandoned: number;
  refused: number;
  moved: number;
}

interface Write {
  readonly sequence: number;
  readonly order: Order;
  readonly slot: number;
  readonly invokedMs: number;
  readonly deadlineMs: number;
  /** Not to be sent by an older map. */
  revisionMin: number;
  state: "open" | "asking" | "ended";
  known: boolean;
}

const askForMs = 400;

/** A program that writes and reads by keys under one lease: it finds the group by its map, and follows a slot that has moved. */
export class MovesCaller {
  readonly node: SimNode;
  readonly lease: string;
  readonly options: MovesCallerOptions;
  readonly #world: SimWorld;
  readonly #random: Random;
  readonly #roll: MovesRoll;
  readonly #view: MovesView;
  readonly #servers: MovesServers;
  readonly #history: Operation[];
  readonly #sessions: SessionRead[];
  readonly #sums: MovesSums;
  readonly #leaseRevision: string;
  readonly #open = new Map<number, Write>();
  readonly #past: Write[] = [];
  readonly #ends = new Map<Write, () => void>();
  readonly #unknown: Write[] = [];
  readonly #seen = new Map<string, number>();
  #sequence = 0;
  #stopped = false;

  constructor(
    ports: { readonly world: SimWorld; readonly random: Random; readonly roll: MovesRoll; readonly servers: MovesServers },
    options: MovesCallerOptions,
    noted: { readonly history: Operation[]; readonly sessions: SessionRead[]; readonly sums: MovesSums },
  ) {
    this.#world = ports.world;
    this.#random = ports.random;
    this.#roll = ports.roll;
    this.#servers = ports.servers;
    this.#history = noted.history;
    this.#sessions = noted.sessions;
    this.#sums = noted.sums;
    this.options = options;
    this.node = new SimNode(ports.world, { name: options.name });
    this.lease = options.name;
    this.#leaseRevision = ports.roll.grant(this.lease);
    this.#view = ports.roll.open(this.node.life, 0, 0);
    for (const what of ["map", ...new Set(ports.servers.names.map(groupOf))]) this.#view.observe(what, () => this.#resendAll());
    for (let at = 0; at < options.window; at++) this.#think();
  }

  get alive(): boolean {
    return this.node.alive;
  }

  get open(): number {
    return this.#open.size;
  }

  stop(): void {
    this.#stopped = true;
  }

  die(): void {
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
      if (luck < 0.65) this.write(this.#order());
      else this.read(this.#key(), luck < 0.8 ? "latest" : "session", () => this.#think());
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
    return luck < 0.75 ? { ...base, kind: "append", argument } : { ...base, kind: "put", argument };
  }

  get #low(): number {
    let low = this.#sequence + 1;
    for (const sequence of this.#open.keys()) low = Math.min(low, sequence);
    return low;
  }

  /** By the map as it is here; undefined while it is older than what a refusal named. */
  #claim({ slot, revisionMin }: Pick<Write, "slot" | "revisionMin">): { readonly claim: SlotClaim; readonly group: string } | undefined {
    const map = this.#view.map();
    const owner = map === undefined ? undefined : ownerOf(map, slot);
    if (owner === undefined || owner.revision < revisionMin) return undefined;
    return { claim: { slot, revision: owner.revision }, group: owner.instance };
  }

  #targets(group: string): readonly string[] {
    // Now and then everybody is asked, also groups that the slot does not belong to.
    if (this.#random.fraction() < 0.07) return this.#servers.names;
    return this.#view.row(group)?.members.map(({ server }) => server) ?? [];
  }

  #submission({ sequence, order, deadlineMs }: Write, claim: SlotClaim, body = orderBytes(order)): Submission {
    return {
      id: { lease: this.lease, sequence },
      low: Math.min(this.#low, sequence),
      leaseRevision: this.#leaseRevision,
      slot: claim,
      type: order.kind,
      body,
      leftMs: Math.max(1, deadlineMs - this.#world.nowMs),
    };
  }

  write(order: Order, ended: () => void = () => this.#think()): void {
    const [least, most] = this.options.deadlineMs;
    const { nowMs } = this.#world;
    const deadlineMs = nowMs + least + (most - least) * this.#random.fraction();
    const sequence = ++this.#sequence;
    const slot = slotOf(order.key);
    const write: Write = { sequence, order, slot, invokedMs: nowMs, deadlineMs, revisionMin: 0, state: "open", known: false };
    this.#open.set(sequence, write);
    this.#past.push(write);
    this.#ends.set(write, ended);
    this.#send(write);
  }

  #send(write: Write): void {
    if (write.state !== "open") return;
    if (this.#world.nowMs >= write.deadlineMs) {
      this.#runOut(write);
      return;
    }
    this.#submit(write);
    this.#after(Math.min(40 + 80 * this.#random.fraction(), write.deadlineMs - this.#world.nowMs + 0.01), () => this.#send(write));
  }

  #submit(write: Write): void {
    const to = this.#claim(write);
    if (to === undefined) return;
    const submission = this.#submission(write, to.claim);
    for (const server of this.#targets(to.group)) {
      if (write.state !== "open") return;
      this.#servers.submit(this, server, submission, (settled) => this.#hear(write, server, to.claim, settled));
    }
  }

  #resendAll(): void {
    for (const write of this.#open.values()) if (write.state === "open") this.#submit(write);
  }

  #hear(write: Write, server: string, claim: SlotClaim, settled: Settled): void {
    if (settled.kind === "moved") {
      this.#sums.moved++;
      if (settled.revision <= claim.revision)
        violation("I29", `${this.lease} knew map ${claim.revision} of slot ${claim.slot}, and was told to wait for ${settled.revision}`);
      const isNews = settled.revision > write.revisionMin;
      write.revisionMin = Math.max(write.revisionMin, settled.revision);
      // Perhaps the map is here already.
      if (isNews && write.state === "open") this.#submit(write);
      return;
    }
    if (write.state === "ended" || settled.kind === "elsewhere") return;
    if (settled.kind === "refused") {
      const { code } = settled.error;
      if (code === "groups/expired" || code === "groups/id-reused")
        violation("I16", `${this.lease}/${write.sequence} is open, and was told ${code}`);
      this.#sums.refused++;
      return;
    }
    const { outcome, position } = settled;
    this.#see(groupOf(server), position.index);
    if (outcome.kind === "abandoned") this.#end(write, "abandoned");
    else this.#end(write, outcome.kind === "failed" ? { result: undefined } : { result: this.#servers.resultOf(outcome.bytes) });
  }

  #see(group: string, index: number): void {
    this.#seen.set(group, Math.max(this.#seen.get(group) ?? 0, index));
  }

  #runOut(write: Write): void {
    if (this.#random.fraction() < 0.5) {
      this.#end(write, "unknown");
      return;
    }
    write.state = "asking";
    const untilMs = this.#world.nowMs + askForMs;
    const ask = () => {
      if (write.state !== "asking") return;
      if (this.#world.nowMs > untilMs) {
        this.#end(write, "unknown");
        return;
      }
      const to = this.#claim(write);
      if (to !== undefined) {
        const question: Question = { ...this.#submission(write, to.claim), leftMs: 200 };
        for (const server of this.#targets(to.group))
          this.#servers.ask(this, server, question, (settled) => this.#hear(write, server, to.claim, settled));
      }
      this.#after(60, ask);
    };
    ask();
  }

  #end(write: Write, end: "abandoned" | "unknown" | { readonly result: string | null | undefined }): void {
    write.state = "ended";
    this.#open.delete(write.sequence);
    if (end === "unknown") {
      this.#sums.unknown++;
      this.#unknown.push(write);
    } else {
      write.known = true;
      if (end === "abandoned") this.#sums.abandoned++;
      else {
        this.#sums.acknowledged++;
        if (end.result !== undefined) this.#note(write, { result: end.result, respondedMs: this.#world.nowMs });
      }
    }
    const ended = this.#ends.get(write);
    this.#ends.delete(write);
    if (this.#random.fraction() < 0.1) this.#misbehave();
    ended?.();
  }

  #note({ order: { kind, key, argument, fails }, invokedMs }: Write, end: Partial<Operation>): void {
    if (fails !== true) this.#history.push({ client: this.lease, key, kind, argument, invokedMs, ...end });
  }

  #giveUp(): void {
    this.#unknown.push(...this.#open.values());
    this.#open.clear();
  }

  noteUnknown(hasEffect: (id: string) => boolean): void {
    this.#giveUp();
    for (const write of this.#unknown.splice(0))
      if (hasEffect(idText({ lease: this.lease, sequence: write.sequence }))) this.#note(write, {});
  }

  /** What it sent long ago may still be on its way, by whatever map it had then. */
  #ghost(write: Write): void {
    const to = this.#claim(write);
    if (to === undefined) return;
    const submission = this.#submission({ ...write, deadlineMs: this.#world.nowMs + 300 }, to.claim);
    const lateMs = 400 * this.#random.fraction();
    for (const server of this.#servers.names) this.#world.after(lateMs, () => this.#servers.submit(this, server, submission, () => {}));
  }

  /** A request that has ended is sent or asked for once more, wherever its slot is by now. It has no effect, and no other outcome. */
  #misbehave(): void {
    const write = this.#past[randomBelow(this.#random, this.#past.length)];
    if (write?.state !== "ended") return;
    const lateMs = 300 * this.#random.fraction();
    this.#after(lateMs, () => {
      const to = this.#claim(write);
      if (to === undefined) return;
      const submission = this.#submission({ ...write, deadlineMs: this.#world.nowMs + 200 }, to.claim);
      const asks = this.#random.fraction() < 0.4 && write.known;
      for (const server of this.#targets(to.group))
        if (asks) this.#servers.ask(this, server, submission, () => {});
        else this.#servers.submit(this, server, submission, () => {});
    });
  }

  /** Until somebody answers or half a second has passed. */
  read(key: string, kind: "latest" | "session", ended: (found: boolean) => void): void {
    const invokedMs = this.#world.nowMs;
    const slot = slotOf(key);
    let revisionMin = 0;
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
      const to = this.#claim({ slot, revisionMin });
      const row = to === undefined ? undefined : this.#view.row(to.group);
      // Also servers that are no members any more, and perhaps do not know it.
      const servers = this.#servers.names.filter((name) => groupOf(name) === to?.group);
      const server = kind === "latest" ? row?.synchronising : servers[randomBelow(this.#random, servers.length)];
      if (server !== undefined && to !== undefined)
        this.#servers.read(this, server, key, to.claim, kind === "latest" ? "latest" : (this.#seen.get(to.group) ?? 0), (reply) => {
          if (!isOpen || reply === "pass") return;
          if ("moved" in reply) {
            revisionMin = Math.max(revisionMin, reply.moved);
            return;
          }
          const { value, index } = reply;
          const { nowMs: respondedMs } = this.#world;
          if (kind === "latest") this.#history.push({ client: this.lease, key, kind: "read", invokedMs, respondedMs, result: value });
          else this.#sessions.push({ client: this.lease, key, value, invokedMs, respondedMs });
          this.#see(to.group, index);
          this.#sums.reads++;
          finish(true);
        });
      this.#after(15 + 30 * this.#random.fraction(), attempt);
    };
    attempt();
  }
}

function groupOf(server: string): string {
  return server.slice(0, server.lastIndexOf("."));
}
