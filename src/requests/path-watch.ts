import { type Clock, type Timer, every } from "../kernel/index.ts";

/** A connection, as far as it is watched. */
export interface WatchedPath {
  /** Whether there is a connection. */
  readonly isOpen: boolean;
  readonly isSilent: boolean;
  /** Whether somebody waits for an answer over a connection that can be asked for a sign of life. */
  readonly isWatchable: boolean;
  /** Own ticks since something was heard, or since there was nothing to wait for. */
  readonly quietTicks: number;
  /** What waits to be sent: a ping is read after it. */
  readonly bufferedBytes: number;
  /** Whether bytes have come since the last time it was asked. */
  hasHeard(): boolean;
  countQuiet(): void;
  clearQuiet(): void;
  ping(): void;
  /** How many ticks longer its ping may take, because much was to be sent before it. */
  grantedTicks: number;
}

export interface PathWatchPorts<Path extends WatchedPath> {
  readonly clock: Clock;
  readonly tickMs: number;
  readonly channels: () => Iterable<Path>;
  /** Whether any request has no outcome yet. */
  readonly isWaiting: () => boolean;
  /** Nothing is heard over it, not even an answer to a ping. */
  readonly silent: (channel: Path) => void;
  /** Something is heard over a silent one again. */
  readonly heard: (channel: Path) => void;
  /** Nobody waits for anything over a silent one any more. */
  readonly useless: (channel: Path) => void;
}

const pingAfterTicks = 3;
const silentAfterTicks = 9;
/** A long body is not a dead path: 10 Mbit/s at ticks of 50 ms. */
const bytesPerTick = 64 * 1024;
/** A tick that comes more than so many periods after the one before was held up: nothing from before it counts. */
const lateTicks = 2;
/** The ticks go on for a while after the last request, so that they do not begin anew with each. */
const idleTicksMax = 20;
/** One caller with many slow servers asks them in turn. */
const pingsPerTickMax = 100;

/**
 * Notices that a path of this caller is dead although both of its ends live: nobody else sees that, and the connection tells it
 * only after minutes. While requests are pending on a connection and nothing is heard over it, the server's link is asked for a sign of life;
 * its handlers may take their time. All connections share one timer. What is overdue is counted in own ticks and judged after all
 * input was read, so a caller that was away accuses nobody.
 */
export class PathWatch<Path extends WatchedPath> {
  readonly #ports: PathWatchPorts<Path>;
  #timer: Timer | undefined;
  #lastMonoMs = 0;
  #idleTicks = 0;
  /** Channels that wait for their ping, longest first. */
  readonly #unpinged = new Set<Path>();

  constructor(ports: PathWatchPorts<Path>) {
    this.#ports = ports;
  }

  /** A request is pending: begins to tick, unless it does already. */
  wake(): void {
    if (this.#timer === undefined) this.#start();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#unpinged.clear();
  }

  #start(): void {
    const { clock, tickMs } = this.#ports;
    this.#lastMonoMs = clock.monoMs();
    this.#idleTicks = 0;
    this.#timer = every(clock, tickMs, () => this.#tick());
  }

  #tick(): void {
    const { clock, tickMs, channels, isWaiting } = this.#ports;
    const nowMonoMs = clock.monoMs();
    const isLate = nowMonoMs - this.#lastMonoMs > lateTicks * tickMs;
    this.#lastMonoMs = nowMonoMs;
    let overdue: Path[] | undefined;
    for (const channel of [...channels()]) if (this.#look(channel, isLate)) (overdue ??= []).push(channel);
    this.#ping();
    if (overdue !== undefined) this.#judge(overdue);
    this.#idleTicks = isWaiting() ? 0 : this.#idleTicks + 1;
    if (this.#idleTicks > idleTicksMax) this.stop();
  }

  /** Whether nothing was heard for too long. */
  #look(channel: Path, isLate: boolean): boolean {
    if (channel.hasHeard()) {
      channel.clearQuiet();
      if (channel.isSilent) this.#ports.heard(channel);
      return false;
    }
    if (!channel.isWatchable) {
      channel.clearQuiet();
      if (channel.isOpen && channel.isSilent) this.#ports.useless(channel);
      return false;
    }
    if (isLate) channel.clearQuiet();
    if (isLate || this.#unpinged.has(channel)) return false;
    channel.countQuiet();
    if (channel.quietTicks === pingAfterTicks) this.#unpinged.add(channel);
    return channel.quietTicks >= silentAfterTicks + channel.grantedTicks && !channel.isSilent;
  }

  #ping(): void {
    let pings = 0;
    for (const channel of this.#unpinged) {
      if (pings++ >= pingsPerTickMax) return;
      this.#unpinged.delete(channel);
      if (channel.quietTicks !== pingAfterTicks) continue;
      channel.grantedTicks = Math.floor(channel.bufferedBytes / bytesPerTick);
      channel.ping();
    }
  }

  #judge(overdue: readonly Path[]): void {
    const { clock, silent } = this.#ports;
    clock.turn(() =>
      clock.turn(() => {
        for (const channel of overdue) {
          if (this.#timer === undefined || channel.isSilent || !channel.isWatchable) continue;
          if (channel.hasHeard()) channel.clearQuiet();
          else silent(channel);
        }
      }),
    );
  }
}
