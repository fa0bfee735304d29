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
import type { StoreBatch } from "../../../src/storage/index.ts";
import type { SimLife } from "../../../src/testing/index.ts";
import { OrderingHost } from "../ordering/host.ts";
import { idText } from "../ordering/ids.ts";
import { handlers, valueOf } from "../ordering/work.ts";
import { Violation, violation } from "../roll/violation.ts";
import type { ReadReply } from "./caller.ts";
import type { Expected } from "./committed-log.ts";
import type { Place } from "./history.ts";
import { JudgedMachine } from "./machine.ts";
import { ReplayMachine } from "./replay-machine.ts";
import type { GroupView } from "./roll-model.ts";
import type { Stage } from "./stage.ts";
import { markOf } from "./stored-format.ts";
import { demandDurable, epochOfOrder, isPart } from "./words.ts";

interface Part {
  readonly member: GroupMember;
  readonly state: KeyedState | ReplayMachine;
}

/** A copy or a question that must have an end by then. */
interface Open {
  readonly id: string;
  readonly dueMs: number;
}

/** Its name among the metrics of groups. */
const committedMetric = "muster_group_entries_committed_total";
const memberRoles: readonly string[] = ["member", "serving"];

function fenced({ promised, logEnd, committed, queued }: GroupStatus): string {
  return `${promised} ${logEnd} ${committed.index} ${queued}`;
}

/** One server of the group. */
export class Host extends OrderingHost<Part> {
  /** It is told of the present row before it begins again: an operator gave copies up, and starts what is left. */
  knowsTheRow = false;
  /** Identities of data that are gone. */
  readonly lostReplicas = new Set<string>();
  readonly #stage: Stage;
  #full = false;
  /** Identity of the data that is on the disk, as far as anybody was told. */
  #replica = "";
  #view: GroupView | undefined;
  #open = new Set<Open>();
  /** It stands still until then. */
  restsUntilMs = 0;

  constructor(stage: Stage, server: string) {
    super(stage, server, (batch) => this.#isDurable(batch));
    this.#stage = stage;
  }

  #isDurable(batch: StoreBatch): void {
    this.#stage.stored(this, batch);
    // A batch of a life before the disk was lost is not on this one.
    const replica = markOf(batch)?.replica ?? "";
    if (!this.lostReplicas.has(replica)) this.#replica = replica;
  }

  get replica(): string {
    return this.#replica;
  }

  /** What its own copy of the roll says. */
  leaseSeen(lease: string): "live" | "ended" | "unknown" {
    return this.#view?.lease(lease, "1.0") ?? "unknown";
  }

  /** Runs, is taken for running, and can write. */
  get isWell(): boolean {
    return this.node.alive && !this.node.paused && !this.#full && this.#stage.roll.isValid(this.server);
  }

  set full(full: boolean) {
    this.#full = full;
    this.disk.full = full;
  }

  protected begin(life: SimLife): void {
    const stage = this.#stage;
    const isBehind = !this.knowsTheRow && stage.random.fraction() < 0.3;
    const view = stage.roll.open(life, isBehind ? 3 : 0, stage.between(0.1, 10));
    this.#view = view;
    const sleepMs = (delayMs: number) => new Promise<void>((resolve) => void life.clock.schedule(delayMs, resolve));
    const { isAlwaysAsync, state: kind } = stage.options;
    const stampOf = (id: string) => stage.stamp(id);
    const state =
      kind === "rows" ? new KeyedState({ handlers: handlers(stampOf, sleepMs, isAlwaysAsync) }) : new ReplayMachine(stampOf, sleepMs);
    const machine = new JudgedMachine(state, this.server, stage, (id) => {
      stage.begins(this, id);
      stage.step(this, "executes");
    });
    const store = this.disk.store(life);
    const member = new GroupMember({
      ports: {
        clock: life.clock,
        random: life.random,
        telemetry: {
          ...silentTelemetry,
          count: (name, by) => {
            stage.count(name, by);
            if (name === committedMetric && life.alive) stage.guard(() => stage.claims(this.server, member.position().index));
          },
          log: (_level, event, fields) => stage.count(event === "group-joiner-denied" ? `denied ${String(fields?.["reason"])}` : event),
        },
        roll: this.#rollOf(view),
        machine,
        store: {
          open: () => store.open(),
          commit: async (batch) => {
            if (stage.step(this, "commit-begins")) return new Promise<void>(() => {});
            await store.commit(batch);
            if (stage.step(this, "commit-ended")) return new Promise<void>(() => {});
            return undefined;
          },
          close: () => store.close(),
        },
        send: (server, message) => {
          if (!life.alive) return;
          stage.fails(() => demandDurable(this, stage.keeping, message));
          if (isPart(message)) stage.plotted("part", this, server);
          this.send(server, message);
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
        this.part = { member, state };
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

  #rollOf(view: GroupView) {
    const stage = this.#stage;
    return {
      row: () => view.row(),
      lease: (lease: string, revision: string) => view.lease(lease, revision),
      observe: (changed: () => void) => view.observe(changed),
      observeLeases: (changed: () => void) => view.observeLeases(changed),
      change: (...[from, next]: Parameters<GroupView["change"]>) => {
        const changed = view.change(from, next);
        stage.step(this, "asks-the-roll");
        return changed;
      },
    };
  }

  protected override receive(member: GroupMember, from: string, message: Uint8Array): void {
    // I19; what is below a promise that is durable changes nothing, whatever it is.
    const epoch = epochOfOrder(message);
    const promised = this.#stage.keeping.copy(this)?.mark?.promised ?? 0;
    const before = epoch !== undefined && epoch < promised ? fenced(member.status()) : undefined;
    member.receive(from, message);
    if (before === undefined || before === fenced(member.status())) return;
    const what = `${this.server} promised ${promised}, and a message of ${epoch ?? 0} from ${from} changed something`;
    this.#stage.world.fail(new Violation("I19", what));
  }

  override crash(): void {
    super.crash();
    this.#open.clear();
  }

  /** I21: what should have ended long ago. */
  overdue(nowMs: number, slackMs: number): string | undefined {
    if (this.node.paused || !this.node.alive) return undefined;
    for (const { id, dueMs } of this.#open) if (nowMs > Math.max(dueMs, this.restsUntilMs) + slackMs) return id;
    return undefined;
  }

  /** While it is crashed. What the roll says of the data that was there holds no longer. */
  loseDisk(): void {
    this.lostReplicas.add(this.#replica);
    this.#replica = "";
    this.disk.lose();
  }

  protected override arrives({ id, leftMs }: Submission): void {
    this.#stage.copied(idText(id), leftMs);
  }

  protected expect({ id, leftMs }: Question, member: GroupMember): (end: Settled) => void {
    const stage = this.#stage;
    const open = { id: idText(id), dueMs: stage.world.nowMs + leftMs };
    this.#open.add(open);
    // What is committed here already decides at once.
    const expected = stage.keeping.log.expected(id, member.position().index);
    const { epoch } = member.status();
    // Then an outcome is told when as many as must be hold it again.
    const hasFew = stage.roll.rows.some(({ row }) => row.epoch === epoch && row.members.length < row.copiesMin);
    const isMember = expected.kind !== "open" && stage.keeping.log.has(member.position()) && memberRoles.includes(member.status().role);
    return (end) => {
      this.#open.delete(open);
      // Meanwhile it may have been forgotten, because its caller needs it no longer.
      const hasWaited = hasFew && (end.kind === "elsewhere" || (end.kind === "refused" && end.error.code === "groups/expired"));
      if (isMember && !hasWaited) stage.fails(() => this.#demandExpected(open.id, expected, end));
      if (end.kind === "committed") stage.answered(this, id, end.outcome, end.position);
      if (end.kind === "refused") stage.count(end.error.code);
    };
  }

  /** A copy of what has its outcome gets that one; one of what its caller needs no longer, or whose lease has ended, is expired. */
  #demandExpected(id: string, expected: Expected, end: Settled): void {
    const code = end.kind === "refused" ? end.error.code : end.kind;
    // It is told when as many have it as must.
    if (expected.kind === "recorded" && code === "elsewhere" && this.#stage.options.copiesMin > 1) return;
    const isIt =
      expected.kind === "expired"
        ? code === "groups/expired"
        : end.kind === "committed"
          ? expected.kind === "recorded" && end.position.index === expected.entry.index
          : code === "groups/id-reused";
    if (!isIt) violation("I16", `${this.server} says ${code} to a copy of ${id}, which is ${expected.kind} by what is committed there`);
  }

  read(key: string, from: Place | "latest", reply: (reply: ReadReply) => void): void {
    const part = this.part;
    const { life } = this.node;
    if (part === undefined || !life.alive) return;
    const { member, state } = part;
    // What was in history before a loss was accepted, at one who does not know of it yet: of that nothing is promised.
    const show = (position: Position) =>
      reply(this.#stage.keeping.isGone(position) ? "pass" : { value: valueOf(state.get(key)), position });
    if (from !== "latest") {
      if (member.readSession(from) === "here") show(member.position());
      else reply("pass");
      return;
    }
    const { keeping, ledger } = this.#stage;
    const floor = ledger.highestAnswered;
    const { lost } = keeping.log;
    member.readLatest(300).then(
      () => {
        if (!life.alive) return;
        const { index } = member.position();
        // By the log alone: values may happen to be equal.
        if (index < floor && lost === keeping.log.lost)
          this.#stage.world.fail(
            new Violation("I20", `${this.server} shows ${index} for the latest, ${floor} was answered before it was asked`),
          );
        show(member.position());
      },
      () => {
        if (life.alive) reply("pass");
      },
    );
  }
}
