import type { Position, Submission } from "../../../src/groups/index.ts";
import { randomBelow } from "../../../src/kernel/index.ts";
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
import { idText } from "../ordering/ids.ts";
import { type Order, orderBytes } from "../ordering/work.ts";
import { violation } from "../roll/violation.ts";
import type { Operation, Place, Value } from "./history.ts";
import type { GroupRoll, GroupView } from "./roll-model.ts";

/** What a server says to a read: where it stood, or that it passes. */
export type ReadReply = { readonly value: Value; readonly position: Place } | "pass";

export interface GroupServers extends Servers {
  read(caller: Calling, server: string, key: string, from: Place | "latest", replied: (reply: ReadReply) => void): void;
}

export interface GroupCallerOptions extends CallerOptions {
  /** Copies go to all members, or to the synchronising host alone. */
  readonly copies: "all" | "one";
}

/** A caller of one group. */
export class Caller extends OrderingCaller<GroupCallerOptions> {
  readonly #view: GroupView;
  readonly #servers: GroupServers;
  /** What it was told was judged when a loss was accepted. */
  isOld = false;
  #highest: Place = { epoch: 0, index: 0 };

  constructor(
    ports: CallerPorts & { readonly roll: GroupRoll; readonly servers: GroupServers },
    options: GroupCallerOptions,
    noted: { readonly history: Operation[]; readonly sums: CallerSums },
  ) {
    super(ports, options, noted, { writes: 0.6, latestReads: 0.15, misbehaves: 0.08 });
    this.#servers = ports.servers;
    this.#view = ports.roll.open(this.node.life, 0, 0);
    this.#view.observe(() => {
      for (const write of this.openWrites) this.submit(write);
    });
    this.begin();
  }

  protected order(): Order {
    const { luck, argument, base } = this.draft();
    if (luck < 0.5) return { ...base, kind: "append", argument };
    if (luck < 0.6) return { ...base, kind: "put", argument };
    if (luck < 0.75) return { ...base, kind: "add", key: "count", argument: "1" };
    if (luck < 0.95) return { ...base, kind: "cas", argument, expected: this.random.fraction() < 0.5 ? null : this.#lastSeen(base.key) };
    return { ...base, kind: "delete" };
  }

  #lastSeen(key: string): Value {
    const seen = this.history.findLast((one) => one.client === this.lease && one.key === key && one.kind.endsWith("read"));
    return seen?.result ?? null;
  }

  protected letter(write: Write): Letter {
    return { submission: this.submission(write), targets: () => this.#targets() };
  }

  #targets(): readonly string[] {
    const row = this.#view.row();
    if (row === undefined) return this.#servers.names;
    // Now and then somebody is asked who is no member, or no longer.
    if (this.random.fraction() < 0.05) return this.#servers.names;
    return this.options.copies === "all" ? row.members.map(({ server }) => server) : [row.synchronising];
  }

  protected heardOfMove({ id }: Write, _: Submission, revision: number): void {
    violation("I29", `${idText(id)} was told to wait for map ${revision}, and its group has no map`);
  }

  protected see(_: string, position: Position): Place {
    if (position.index > this.#highest.index) this.#highest = position;
    return position;
  }

  /** Of what it did before a loss was accepted something has happened since. */
  noteAgain(hasEffect: (id: string) => boolean, fromMs: number): void {
    for (const write of this.past) if (hasEffect(idText(write.id))) this.note({ ...write, invokedMs: fromMs }, {});
  }

  /** Sent as it was or with another body. Neither may have an effect. */
  protected misbehave(): void {
    const write = this.past[randomBelow(this.random, this.past.length)];
    if (write === undefined || write.state !== "ended") return;
    // What has no known outcome may run under its new body.
    const isOther = write.known && this.random.fraction() < 0.6;
    // Another body, or the same one as another type.
    const hasOtherType = isOther && this.random.fraction() < 0.4;
    const argument = `${idText(write.id)} with another body;`;
    const order: Order = isOther && !hasOtherType ? { ...write.order, kind: "append", argument } : write.order;
    const again = { ...write, deadlineMs: this.world.nowMs + 200 };
    const submission = {
      ...this.submission(again, orderBytes(order)),
      ...(hasOtherType ? { type: write.order.kind === "add" ? "put" : "add" } : {}),
    };
    for (const server of this.#targets())
      this.#servers.submit(this, server, submission, (settled) => {
        // Of what never ran nobody may know which body it had.
        if (settled.kind === "committed" && settled.outcome.kind !== "abandoned" && isOther)
          violation("I16", `${idText(write.id)} was answered under another body`);
      });
  }

  protected reading(key: string, kind: ReadKind, invokedMs: number): Attempt {
    const { names } = this.#servers;
    const from = kind === "latest" ? "latest" : this.#highest;
    return (shown) => {
      const server = kind === "latest" ? this.#view.row()?.synchronising : names[randomBelow(this.random, names.length)];
      if (server === undefined) return;
      this.#servers.read(this, server, key, from, (reply) => {
        if (reply === "pass") return;
        const { value, position } = reply;
        shown((respondedMs) => {
          const operationKind = kind === "latest" ? "read" : "session-read";
          this.history.push({ client: this.lease, key, kind: operationKind, invokedMs, respondedMs, result: value, position });
          this.see(server, position);
        });
      });
    };
  }
}
