import {
  type GroupMachine,
  GroupMember,
  type Question,
  type Settled,
  type SlotClaim,
  type SlotPart,
  type SlotWanted,
  SlottedState,
  type StateChange,
  type StateRow,
} from "../../../src/groups/index.ts";
import { silentTelemetry } from "../../../src/kernel/index.ts";
import type { SimLife } from "../../../src/testing/index.ts";
import { OrderingHost } from "../ordering/host.ts";
import { idText } from "../ordering/ids.ts";
import { handlers, valueOf } from "../ordering/work.ts";
import type { ReadReply } from "./caller.ts";
import type { MovesView } from "./roll-model.ts";
import type { MovesStage } from "./stage.ts";

/** The state of one life, with every change noted on its way. */
class NotedState implements GroupMachine {
  readonly inner: SlottedState;
  readonly #note: (part: "write" | "adopt" | "drop", index: number, changes: StateChange) => void;

  constructor(inner: SlottedState, note: (part: "write" | "adopt" | "drop", index: number, changes: StateChange) => void) {
    this.inner = inner;
    this.#note = note;
  }

  execute(request: Parameters<GroupMachine["execute"]>[0]) {
    return this.inner.execute(request);
  }

  install(index: number, delta: Uint8Array): StateChange {
    const changes = this.inner.install(index, delta);
    this.#note("write", index, changes);
    return changes;
  }

  discard(): void {
    this.inner.discard();
  }

  snapshot(): Iterable<StateRow> {
    return this.inner.snapshot();
  }

  restore(rows: Iterable<StateRow>): void {
    this.inner.restore(rows);
  }

  get slots() {
    const { inner } = this;
    const note = this.#note;
    return {
      page: (slot: number, after: string, bytesMax: number) => inner.page(slot, after, bytesMax),
      digest: (slot: number) => inner.digest(slot),
      adopt: (index: number, rows: Iterable<StateRow>) => {
        const changes = inner.adopt(index, rows);
        note("adopt", index, changes);
        return changes;
      },
      drop: (index: number, slot: number) => {
        const changes = inner.drop(index, slot);
        note("drop", index, changes);
        return changes;
      },
    };
  }
}

interface Part {
  readonly member: GroupMember;
  readonly state: SlottedState;
}

const fetchMs = 60;

/** One server of one of the groups. */
export class MovesHost extends OrderingHost<Part> {
  /** Its service instance. */
  readonly group: string;
  readonly #stage: MovesStage;

  constructor(stage: MovesStage, group: string, server: string) {
    super(stage, server);
    this.#stage = stage;
    this.group = group;
  }

  protected begin(life: SimLife): void {
    const stage = this.#stage;
    const view = stage.roll.open(life, stage.random.fraction() < 0.3 ? 3 : 0, stage.between(0.1, 10));
    const sleepMs = (delayMs: number) => new Promise<void>((resolve) => void life.clock.schedule(delayMs, resolve));
    const state = new SlottedState({ handlers: handlers((id) => stage.stamp(id), sleepMs, false) });
    const machine = new NotedState(state, (part, index, changes) => {
      if (part === "write") stage.guard(() => stage.ledger.install(this.group, this.server, index, changes));
      else stage.guard(() => stage.ledger.carried(this.group, this.server, index, part, changes));
    });
    const store = this.disk.store(life);
    const member = new GroupMember({
      ports: {
        clock: life.clock,
        random: life.random,
        telemetry: silentTelemetry,
        roll: this.#rollOf(view),
        partition: this.#partitionOf(view),
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
          if (life.alive) this.send(server, message);
        },
      },
      server: this.server,
      tickMs: stage.options.tickMs,
      ...(stage.options.limits === undefined ? {} : { limits: stage.options.limits }),
    });
    member.open().then(
      () => {
        if (life.alive) this.part = { member, state };
      },
      (thrown: unknown) => {
        if (life.alive) stage.world.fail(thrown);
      },
    );
  }

  #rollOf(view: MovesView) {
    const stage = this.#stage;
    const { group } = this;
    return {
      row: () => view.row(group),
      lease: (lease: string, revision: string) => view.lease(lease, revision),
      observe: (changed: () => void) => view.observeGroup(group, changed),
      observeLeases: (changed: () => void) => view.observeLeases(changed),
      change: (from: Parameters<MovesView["changeGroup"]>[1], next: Parameters<MovesView["changeGroup"]>[2]) => {
        const changed = view.changeGroup(group, from, next);
        stage.step(this, "asks-the-roll");
        return changed;
      },
    };
  }

  #partitionOf(view: MovesView) {
    const stage = this.#stage;
    return {
      instance: this.group,
      map: () => view.map(),
      observe: (changed: () => void) => view.observeMap(changed),
      change: (from: Parameters<MovesView["changeMap"]>[0], next: Parameters<MovesView["changeMap"]>[1]) => {
        const changed = view.changeMap(from, next);
        stage.step(this, "asks-the-roll");
        return changed;
      },
      fetch: (instance: string, wanted: SlotWanted) => this.#fetch(view, instance, wanted),
    };
  }

  /** From any member, over paths that lose. */
  #fetch(view: MovesView, instance: string, wanted: SlotWanted): Promise<SlotPart | undefined> {
    const stage = this.#stage;
    const { life } = this.node;
    const servers = view.row(instance)?.members.map(({ server }) => server) ?? [];
    if (servers.length === 0) return Promise.resolve(undefined);
    const target = stage.host(stage.pick(servers));
    return new Promise((resolve) => {
      const timer = life.clock.schedule(fetchMs, () => resolve(undefined));
      const answered = (part: SlotPart | undefined) => {
        if (!this.node.alive || life !== this.node.life || stage.step(this, "fetched")) return;
        timer.cancel();
        resolve(part);
      };
      stage.paths.send(this.node, target.node, () => {
        if (target.member === undefined || stage.step(target, "gives")) return;
        const part = target.member.slots.part(wanted);
        stage.paths.send(target.node, this.node, () => answered(part));
      });
    });
  }

  protected expect({ id }: Question): (end: Settled) => void {
    const stage = this.#stage;
    return (end) => {
      if (end.kind !== "committed") return;
      stage.trace?.(`ANSWER ${this.server}: ${idText(id)} at ${end.position.index}: ${end.outcome.kind}`);
      stage.guard(() => stage.ledger.answer(this.server, idText(id), end.outcome));
    };
  }

  read(key: string, claim: SlotClaim, from: number | "latest", reply: (reply: ReadReply) => void): void {
    const part = this.part;
    const { life } = this.node;
    if (part === undefined || !life.alive) return;
    const { member, state } = part;
    const show = (): void => {
      const verdict = member.slots.judge(claim);
      if (verdict === "own") reply({ value: valueOf(state.reader(claim.slot).get(key)), index: member.position().index });
      else reply(verdict === "hold" ? "pass" : { moved: verdict.moved });
    };
    if (from !== "latest") {
      if (member.readSession({ epoch: 0, index: from }) === "here") show();
      else reply("pass");
      return;
    }
    member.readLatest(300).then(
      () => {
        if (life.alive) show();
      },
      () => {
        if (life.alive) reply("pass");
      },
    );
  }
}
