import type { Position, SlotClaim, Submission } from "../../../src/groups/index.ts";
import { randomBelow } from "../../../src/kernel/index.ts";
import { ownerOf, slotOf } from "../../../src/tables/index.ts";
import {
  type Attempt,
  type CallerOptions,
  type CallerPorts,
  type CallerSums,
  type Calling,
  type Letter,
  OrderingCaller,
  type ReadKind,
  type Servers,
  type Write,
} from "../ordering/caller.ts";
import type { Order } from "../ordering/work.ts";
import { violation } from "../roll/violation.ts";
import type { Operation, Value } from "../writes/history.ts";
import { type MovesRoll, type MovesView, groupOf } from "./roll-model.ts";

export type ReadReply = { readonly value: Value; readonly index: number } | "pass" | { readonly moved: number };

/** The servers of all groups. */
export interface MovesServers extends Servers {
  read(caller: Calling, server: string, key: string, claim: SlotClaim, from: number | "latest", replied: (reply: ReadReply) => void): void;
}

/** A `session` read that was answered. */
export interface SessionRead {
  readonly client: string;
  readonly key: string;
  readonly value: Value;
  readonly invokedMs: number;
  readonly respondedMs: number;
}

export interface MovesSums extends CallerSums {
  moved: number;
}

/** Where a key is, by the map of whoever asks. */
interface Home {
  readonly claim: SlotClaim;
  readonly group: string;
}

/** A caller of many groups by keys: it finds the group by its map, and follows a slot that has moved. */
export class MovesCaller extends OrderingCaller {
  readonly #view: MovesView;
  readonly #servers: MovesServers;
  readonly #sessions: SessionRead[];
  readonly #sums: MovesSums;
  readonly #seen = new Map<string, number>();
  /** By sequence: writes that are not to be sent by an older map than this. */
  readonly #revisionsMin = new Map<number, number>();

  constructor(
    ports: CallerPorts & { readonly roll: MovesRoll; readonly servers: MovesServers },
    options: CallerOptions,
    noted: { readonly history: Operation[]; readonly sessions: SessionRead[]; readonly sums: MovesSums },
  ) {
    super(ports, options, noted, { writes: 0.65, latestReads: 0.15, misbehaves: 0.1 });
    this.#servers = ports.servers;
    this.#sessions = noted.sessions;
    this.#sums = noted.sums;
    this.#view = ports.roll.open(this.node.life, 0, 0);
    const resend = () => {
      for (const write of this.openWrites) if (write.state === "open") this.submit(write);
    };
    this.#view.observeMap(resend);
    for (const group of new Set(ports.servers.names.map(groupOf))) this.#view.observeGroup(group, resend);
    this.begin();
  }

  protected order(): Order {
    const { luck, argument, base } = this.draft();
    return { ...base, kind: luck < 0.75 ? "append" : "put", argument };
  }

  #revisionMin({ id }: Write): number {
    return this.#revisionsMin.get(id.sequence) ?? 0;
  }

  /** By the map as it is here; undefined while it is older than what a refusal named. */
  #home(slot: number, revisionMin: number): Home | undefined {
    const map = this.#view.map();
    const owner = map === undefined ? undefined : ownerOf(map, slot);
    if (owner === undefined || owner.revision < revisionMin) return undefined;
    return { claim: { slot, revision: owner.revision }, group: owner.instance };
  }

  protected letter(write: Write): Letter | undefined {
    const home = this.#home(slotOf(write.order.key), this.#revisionMin(write));
    if (home === undefined) return undefined;
    return { submission: { ...this.submission(write), slot: home.claim }, targets: () => this.#targets(home.group) };
  }

  #targets(group: string): readonly string[] {
    // Now and then everybody is asked, also groups that the slot does not belong to.
    if (this.random.fraction() < 0.07) return this.#servers.names;
    return this.#view.row(group)?.members.map(({ server }) => server) ?? [];
  }

  protected heardOfMove(write: Write, { slot }: Submission, revision: number): void {
    this.#sums.moved++;
    const known = slot?.revision ?? 0;
    if (revision <= known)
      violation("I29", `${this.lease} knew map ${known} of slot ${slot?.slot ?? "none"}, and was told to wait for ${revision}`);
    if (revision <= this.#revisionMin(write)) return;
    this.#revisionsMin.set(write.id.sequence, revision);
    // Perhaps the map is here already.
    if (write.state === "open") this.submit(write);
  }

  /** Positions in logs of different groups say nothing of one another, so the history has none of them. */
  protected see(server: string, { index }: Position): undefined {
    this.#note(groupOf(server), index);
  }

  #note(group: string, index: number): void {
    this.#seen.set(group, Math.max(this.#seen.get(group) ?? 0, index));
  }

  /** Wherever its slot is by now. */
  protected misbehave(): void {
    const write = this.past[randomBelow(this.random, this.past.length)];
    if (write?.state !== "ended") return;
    const lateMs = 300 * this.random.fraction();
    this.after(lateMs, () => {
      const letter = this.letter({ ...write, deadlineMs: this.world.nowMs + 200 });
      if (letter === undefined) return;
      const asks = this.random.fraction() < 0.4 && write.known;
      for (const server of letter.targets())
        if (asks) this.#servers.ask(this, server, letter.submission, () => {});
        else this.#servers.submit(this, server, letter.submission, () => {});
    });
  }

  protected reading(key: string, kind: ReadKind, invokedMs: number): Attempt {
    let revisionMin = 0;
    return (shown) => {
      const home = this.#home(slotOf(key), revisionMin);
      // Also servers that are no members any more, and perhaps do not know it.
      const servers = this.#servers.names.filter((name) => groupOf(name) === home?.group);
      const row = home === undefined ? undefined : this.#view.row(home.group);
      const server = kind === "latest" ? row?.synchronising : servers[randomBelow(this.random, servers.length)];
      if (server === undefined || home === undefined) return;
      const { claim, group } = home;
      this.#servers.read(this, server, key, claim, kind === "latest" ? "latest" : (this.#seen.get(group) ?? 0), (reply) => {
        if (reply === "pass") return;
        if ("moved" in reply) {
          revisionMin = Math.max(revisionMin, reply.moved);
          return;
        }
        const { value, index } = reply;
        shown((respondedMs) => {
          if (kind === "latest") this.history.push({ client: this.lease, key, kind: "read", invokedMs, respondedMs, result: value });
          else this.#sessions.push({ client: this.lease, key, value, invokedMs, respondedMs });
          this.#note(group, index);
        });
      });
    };
  }
}
