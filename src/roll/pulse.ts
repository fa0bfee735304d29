import { type Clock, MusterError, type Telemetry, type Timer, every } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Child } from "./child.ts";
import type { Children } from "./children.ts";
import type { Directory } from "./directory.ts";
import type { Downlinks } from "./downlinks.ts";
import type { Follower } from "./follower.ts";
import { type Tick, encodeJson, message } from "./messages.ts";
import type { RollPeriods } from "./options.ts";
import type { Uplink } from "./uplink.ts";
import { metricNames } from "./metrics.ts";

export interface PulsePorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly periods: RollPeriods;
  readonly replica: Replica;
  readonly token: string;
  readonly parents: number;
  readonly children: Children;
  readonly downlinks: () => Downlinks;
  readonly follower: Follower;
  readonly directory: Directory | undefined;
  readonly uplink: Uplink | undefined;
  /** After a tick in good order was judged. */
  readonly judged: () => void;
}

/**
 * A node's own ticks, and the directory's tick on its way down. What is overdue is judged only when the own tick came in
 * time and all input that had arrived was read: a node that was away accuses nobody.
 */
export class Pulse {
  readonly #ports: PulsePorts;
  #timer: Timer | undefined;
  #number = 0;
  #lastMonoMs = 0;
  #closed = false;

  constructor(ports: PulsePorts) {
    this.#ports = ports;
  }

  /** Own ticks so far; at the directory also the number of the tick. */
  get number(): number {
    return this.#number;
  }

  start(): void {
    const { clock, periods } = this.#ports;
    this.#lastMonoMs = clock.monoMs();
    this.#timer = every(clock, periods.tickMs, () => this.#beat());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #beat(): void {
    const { clock, telemetry, periods, directory, follower } = this.#ports;
    const now = clock.monoMs();
    const late = now - this.#lastMonoMs > 2 * periods.tickMs;
    this.#lastMonoMs = now;
    this.#number++;
    if (late) {
      telemetry.count(metricNames.lateTicks);
      for (const child of this.#ports.downlinks()) child.aliveAt = this.#number;
    }
    if (directory === undefined) this.#minParent(now, late);
    // The newest tick again when there is no newer one: the children learn that this link lives and the directory is away.
    if (directory === undefined ? follower.detached : directory.authority !== undefined) this.sendTicks();
    clock.turn(() => clock.turn(() => this.#judge(late)));
  }

  /** Says that we live, and leaves a parent that says nothing or hears nothing itself. */
  #minParent(now: number, late: boolean): void {
    const { clock, follower, periods, parents, uplink } = this.#ports;
    if (uplink === undefined) return;
    // A relay that has nothing to show itself lets its children wait; a directory answers as soon as it can.
    if (parents > 1 && uplink.waitingMs(now) > this.#detachedMs)
      uplink.leave(new MusterError("roll/parent-detached", "the parent has nothing to show yet", { next: "another one is tried" }));
    const { link } = uplink;
    if (link === undefined) return;
    this.sayAlive();
    // Bytes, not messages: a big one takes its time on a slow path.
    const heard = link.heardMonoMs;
    if (!late && now - heard > periods.silentTicks * periods.tickMs)
      clock.turn(() =>
        clock.turn(() => {
          if (link.heardMonoMs === heard && uplink.link === link)
            uplink.leave(new MusterError("roll/parent-silent", "nothing is heard from the parent", { next: "another one is tried" }));
        }),
      );
    else if (parents > 1 && follower.forsakenMs > this.#detachedMs)
      uplink.leave(new MusterError("roll/parent-detached", "the parent does not hear the directory", { next: "another one is tried" }));
  }

  #judge(late: boolean): void {
    if (this.#closed || late) return;
    const { downlinks, periods, directory } = this.#ports;
    for (const child of [...downlinks()])
      if (child.following && this.#number - child.aliveAt > periods.silentTicks) {
        child.departure = "silent";
        child.link.close(new MusterError("roll/silent", "nothing was heard from this node", { next: "it attaches again by itself" }));
      }
    directory?.tick();
    this.#ports.judged();
  }

  /** To the parent: this node lives. Said at each own tick, and at once when a tick is heard. */
  sayAlive(): void {
    this.#ports.uplink?.link?.send(message.alive, encodeJson({ number: this.#ports.follower.sayAlive() }));
  }

  #now(): Omit<Tick, "echo"> {
    const { replica, directory, follower, token } = this.#ports;
    const { epoch: at, sequence } = replica.position;
    if (directory !== undefined) {
      const epoch = directory.authority?.epoch ?? 0;
      return { epoch, reign: directory.reign, number: this.#number, path: [token], at, sequence, ageMs: 0 };
    }
    const { epoch, reign, number } = follower.tick;
    // Never heard in time since the last attachment: as old as can be.
    const ageMs = follower.detached ? Math.max(follower.ageMs, this.#detachedMs) : follower.ageMs;
    return { epoch, reign, number, path: [...follower.path, token], at, sequence, ageMs: Math.min(ageMs, 1e9) };
  }

  get #detachedMs(): number {
    return this.#ports.periods.detachedTicks * this.#ports.periods.tickMs * 2;
  }

  /** To every child that has everything: a tick stands in the stream behind all that was sent before it. */
  sendTicks(): void {
    const tick = this.#now();
    for (const child of this.#ports.children) if (child.announced && child.synced) this.#send(child, tick);
  }

  /** To a child that has just caught up. */
  sendTick(child: Child): void {
    this.#send(child, this.#now());
  }

  #send(child: Child, tick: Omit<Tick, "echo">): void {
    if (this.#ports.directory === undefined && tick.number === 0) return;
    child.link.send(message.tick, encodeJson({ ...tick, echo: child.alive }));
    child.told = this.#ports.replica.position.sequence;
  }
}
