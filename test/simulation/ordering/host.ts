import type { GroupMember, Question, Settled, Submission } from "../../../src/groups/index.ts";
import type { StoreBatch } from "../../../src/storage/index.ts";
import { SimDisk, type SimLife, SimNode, type SimWorld } from "../../../src/testing/index.ts";
import type { Paths } from "./paths.ts";
import type { StageHost, StageOptions } from "./stage.ts";

/** The stage as its servers need it. */
export interface HostStage {
  readonly world: SimWorld;
  readonly options: StageOptions;
  readonly paths: Paths;
  readonly roll: { validate(server: string): void };
  readonly trace: ((line: string) => void) | undefined;
  between(from: number, to: number): number;
  host(server: string): OrderingHost<HostPart>;
  step(host: StageHost, step: "sent" | "receives" | "answers" | "answered"): boolean;
}

/** What is there only as long as one life of the program. */
export interface HostPart {
  readonly member: GroupMember;
  readonly state: unknown;
}

/** One server: a program that is started again and again, and the disk that outlives it. What the program is made of, each simulation says. */
export abstract class OrderingHost<Part extends HostPart> implements StageHost {
  readonly server: string;
  readonly node: SimNode;
  readonly disk: SimDisk;
  readonly #stage: HostStage;
  /** Of the present life, since its member is open. */
  protected part: Part | undefined;
  #startedLife = -1;

  constructor(stage: HostStage, server: string, durable?: (batch: StoreBatch) => void) {
    const { world, options } = stage;
    const { commitMs, timerLatenessMs } = options;
    this.#stage = stage;
    this.server = server;
    this.node = new SimNode(world, { name: server, timerLatenessMs });
    this.disk = new SimDisk(world, { commitMs, jitterMs: commitMs, ...(durable === undefined ? {} : { durable }) });
  }

  /** The program of this life begins. */
  protected abstract begin(life: SimLife): void;
  /** A copy is there, or a question. Returns what judges the answer when it leaves. */
  protected abstract expect(question: Question, member: GroupMember): (end: Settled) => void;
  /** A copy is about to be taken in. */
  protected arrives?(submission: Submission): void;

  get member(): GroupMember | undefined {
    return this.node.alive ? this.part?.member : undefined;
  }

  get state(): Part["state"] | undefined {
    return this.node.alive ? this.part?.state : undefined;
  }

  /** Begins to take part, in the node's present life; once in each. */
  start(): void {
    const { life } = this.node;
    if (!life.alive || this.#startedLife === life.number) return;
    this.#startedLife = life.number;
    this.begin(life);
  }

  crash(): void {
    this.node.crash();
    this.part = undefined;
  }

  restart(): void {
    const stage = this.#stage;
    stage.trace?.(`START ${this.server}`);
    const life = this.node.restart();
    this.start();
    // It registers anew; often before anybody has missed it.
    life.plan(stage.world.nowMs + stage.between(0.5, 20), "timer", () => stage.roll.validate(this.server));
  }

  /** To whatever life of that server there is when it arrives. */
  protected send(server: string, message: Uint8Array): void {
    const stage = this.#stage;
    const copy = message.slice();
    const target = stage.host(server);
    stage.paths.send(this.node, target.node, () => target.#hear(this.server, copy));
    stage.step(this, "sent");
  }

  #hear(from: string, message: Uint8Array): void {
    const { member } = this;
    if (member === undefined || this.#stage.step(this, "receives")) return;
    this.receive(member, from, message);
  }

  protected receive(member: GroupMember, from: string, message: Uint8Array): void {
    member.receive(from, message);
  }

  submit(submission: Submission, reply: (settled: Settled) => void): void {
    const take = (member: GroupMember) => {
      this.arrives?.(submission);
      return member.submit(submission);
    };
    this.#answer(submission, take, reply);
  }

  ask(question: Question, reply: (settled: Settled) => void): void {
    this.#answer(question, (member) => member.ask(question), reply);
  }

  #answer(question: Question, take: (member: GroupMember) => Promise<Settled>, reply: (settled: Settled) => void): void {
    const stage = this.#stage;
    const { member } = this;
    const { life } = this.node;
    if (member === undefined || stage.step(this, "receives")) return;
    const settled = take(member);
    const leaves = this.expect(question, member);
    settled.then(
      (end) => {
        if (!life.alive || stage.step(this, "answers")) return;
        leaves(end);
        reply(end);
        stage.step(this, "answered");
      },
      (thrown: unknown) => {
        if (life.alive) stage.world.fail(new Error(`submit rejected at ${this.server}`, { cause: thrown }));
      },
    );
  }
}
