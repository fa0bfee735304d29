import {
  GroupMember,
  type GroupStatus,
  KeyedState,
  type Position,
  type Question,
  type Settled,
  type Submission,
} from "../../../src/groups/index.ts";
import { MusterError, silentTelemetry } from "../../../src/kernel/index.ts";
import { SimDisk, SimNode } from "../../../src/testing/index.ts";
import { ByteReader } from "../../../src/wire/index.ts";
import { Violation } from "../roll/violation.ts";
import type { ReadReply, Reply } from "./caller.ts";
import { DurableMirror } from "./durable.ts";
import type { Place } from "./history.ts";
import { idText } from "./ids.ts";
import { JudgedMachine } from "./machine.ts";
import type { RollView } from "./roll-model.ts";
import type { Stage } from "./stage.ts";
import { handlers, valueOf } from "./work.ts";

interface Part {
  readonly member: GroupMember;
  readonly state: KeyedState;
}

/** The kinds with which a synchronising host tells others what to do; the rest are answers and knocks, which order nothing. */
const orders: readonly number[] = [0, 2, 5, 8, 10];

/** A message begins with its version and its kind; then comes the epoch of who sent it. Undefined for what orders nothing. */
function epochOfOrder(message: Uint8Array): number | undefined {
  const reader = new ByteReader(message);
  reader.u8();
  return orders.includes(reader.u8()) ? reader.varint() : undefined;
}

function fenced({ promised, logEnd, committed, queued }: GroupStatus): string {
  return `${promised} ${logEnd} ${committed.index} ${queued}`;
}

/** One server: a program that is started again and again, and the disk that outlives it. */
export class Host {
  readonly server: string;
  readonly node: SimNode;
  readonly disk: SimDisk;
  #mirror = new DurableMirror();
  /** Of disks that were lost: what was on them may have been counted on before. */
  readonly #lostMirrors: DurableMirror[] = [];
  /** Identities of data that are gone. */
  readonly lostReplicas = new Set<string>();
  readonly #stage: Stage;
  #part: Part | undefined;
  #full = false;
  /** Identity of the data that is on the disk, as far as anybody was told. */
  #replica = "";
  #startedLife = -1;

  constructor(stage: Stage, server: string) {
    const { world, options } = stage;
    this.#stage = stage;
    this.server = server;
    this.node = new SimNode(world, { name: server, timerLatenessMs: options.timerLatenessMs });
    this.disk = new SimDisk(world, {
      commitMs: options.commitMs,
      jitterMs: options.commitMs,
      durable: (batch) => this.#mirror.apply(batch),
    });
  }

  get member(): GroupMember | undefined {
    return this.node.alive ? this.#part?.member : undefined;
  }

  get state(): KeyedState | undefined {
    return this.node.alive ? this.#part?.state : undefined;
  }

  /** Whether the entry at `index`, which holds these bytes, was ever durable here. */
  held(index: number, bytes: Uint8Array): boolean {
    return [this.#mirror, ...this.#lostMirrors].some((mirror) => mirror.holds(index, bytes));
  }

  /** Whether it is durable here now. */
  holds(index: number, bytes: Uint8Array): boolean {
    return this.#mirror.holds(index, bytes);
  }

  /** Runs, is taken for running, and can write. */
  get isWell(): boolean {
    return this.node.alive && !this.node.paused && !this.#full && this.#stage.roll.isValid(this.server);
  }

  set full(full: boolean) {
    this.#full = full;
    this.disk.full = full;
  }

  /** Begins to take part, in the node's present life; once in each. */
  start(): void {
    const stage = this.#stage;
    const { life } = this.node;
    if (!life.alive || this.#startedLife === life.number) return;
    this.#startedLife = life.number;
    const view = stage.roll.open(life, stage.random.fraction() < 0.3 ? 3 : 0, stage.between(0.1, 10));
    const sleepMs = (delayMs: number) => new Promise<void>((resolve) => void life.clock.schedule(delayMs, resolve));
    const state = new KeyedState({ handlers: handlers((id) => stage.stamp(id), sleepMs) });
    const machine = new JudgedMachine(state, this.server, stage, (id) => {
      stage.begins(this, id);
      stage.step(this, "executes");
    });
    const store = this.disk.store(life);
    const member = new GroupMember({
      ports: {
        clock: life.clock,
        random: life.random,
        telemetry: silentTelemetry,
        roll: this.#rollOf(view),
        machine,
        store: {
          open: () => store.open(),
          commit: async (batch) => {
            if (stage.step(this, "commit-begins")) return new Promise<void>(() => {});
            await store.commit(batch);
            stage.step(this, "commit-ended");
          },
          close: () => store.close(),
        },
        send: (server, message) => {
          if (!life.alive) return;
          const copy = message.slice();
          const target = stage.host(server);
          stage.paths.send(this.node, target.node, () => target.#receive(this.server, copy));
          stage.step(this, "sent");
        },
      },
      server: this.server,
      copiesMin: stage.options.copiesMin,
      tickMs: stage.options.tickMs,
      ...(stage.options.limits === undefined ? {} : { limits: stage.options.limits }),
    });
    member.open().then(
      () => {
        if (!life.alive) return;
        this.#part = { member, state };
        this.#replica = member.status().replica;
      },
      (thrown: unknown) => {
        if (!life.alive) return;
        // Its program says so and ends; whoever looks after it starts it again.
        if (thrown instanceof MusterError && thrown.code === "storage/full") stage.crash(this);
        else stage.world.fail(thrown);
      },
    );
  }

  #rollOf(view: RollView) {
    const stage = this.#stage;
    return {
      row: () => view.row(),
      lease: (lease: string, revision: string) => view.lease(lease, revision),
      observe: (changed: () => void) => view.observe(changed),
      observeLeases: (changed: () => void) => view.observeLeases(changed),
      change: (...[from, next]: Parameters<RollView["change"]>) => {
        const changed = view.change(from, next);
        stage.step(this, "asks-the-roll");
        return changed;
      },
    };
  }

  #receive(from: string, message: Uint8Array): void {
    const { member } = this;
    if (member === undefined || this.#stage.step(this, "receives")) return;
    const before = member.status();
    member.receive(from, message);
    // I19; what is below a promise that is durable changes nothing, whatever it is.
    const epoch = epochOfOrder(message);
    if (epoch !== undefined && epoch < before.promised && fenced(member.status()) !== fenced(before))
      this.#stage.world.fail(
        new Violation("I19", `${this.server} promised ${before.promised}, and a message of ${epoch} from ${from} changed something`),
      );
  }

  crash(): void {
    this.node.crash();
    this.#part = undefined;
  }

  /** While it is crashed. What the roll says of the data that was there holds no longer. */
  loseDisk(): void {
    this.lostReplicas.add(this.#replica);
    this.disk.lose();
    this.#lostMirrors.push(this.#mirror);
    this.#mirror = new DurableMirror();
  }

  restart(): void {
    this.#stage.trace?.(`START ${this.server}`);
    const life = this.node.restart();
    this.start();
    // It registers anew; often before anybody has missed it.
    life.plan(this.#stage.world.nowMs + this.#stage.between(0.5, 20), "timer", () => this.#stage.roll.validate(this.server));
  }

  submit(submission: Submission, reply: (reply: Reply) => void): void {
    const { member } = this;
    if (member === undefined || this.#stage.step(this, "receives")) return;
    this.#stage.copied(idText(submission.id), submission.leftMs);
    this.#settle(submission, member.submit(submission), reply);
  }

  ask({ id, low, leaseRevision, leftMs }: Submission, reply: (reply: Reply) => void): void {
    const { member } = this;
    if (member === undefined || this.#stage.step(this, "receives")) return;
    const question: Question = { id, low, leaseRevision, leftMs: Math.max(leftMs, 200) };
    this.#settle(question, member.ask(question), reply);
  }

  #settle({ id }: Question, settled: Promise<Settled>, reply: (reply: Reply) => void): void {
    const stage = this.#stage;
    const { life } = this.node;
    settled.then(
      (end) => {
        if (!life.alive || stage.step(this, "answers")) return;
        if (end.kind === "committed") stage.answered(this, idText(id), end.outcome, end.position);
        reply(end.kind === "refused" ? { kind: "refused", code: end.error.code } : end);
        stage.step(this, "answered");
      },
      (thrown: unknown) => {
        if (life.alive) stage.world.fail(new Error(`submit rejected at ${this.server}`, { cause: thrown }));
      },
    );
  }

  read(key: string, from: Place | "latest", reply: (reply: ReadReply) => void): void {
    const part = this.#part;
    const { life } = this.node;
    if (part === undefined || !life.alive) return;
    const { member, state } = part;
    const show = (position: Position) => reply({ value: valueOf(state.get(key)), position });
    if (from !== "latest") {
      if (member.readSession(from) === "here") show(member.position());
      else reply("pass");
      return;
    }
    member.readLatest(300).then(
      () => {
        if (life.alive) show(member.position());
      },
      () => {
        if (life.alive) reply("pass");
      },
    );
  }
}
