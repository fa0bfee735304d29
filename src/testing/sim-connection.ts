import type { Address, Connection, ConnectionHandlers } from "../transport/index.ts";
import { reset } from "./sim-errors.ts";
import type { Place } from "./sim-links.ts";
import type { CrashManner, SimLife } from "./sim-node.ts";
import type { SimEvent } from "./sim-world.ts";

/** What a connection needs of the network that carries it. */
export interface Carrier {
  /** Bytes that both systems together take before the sender has to keep them itself. */
  readonly systemBytesMax: number;
  /** The chance that what arrives is cut into pieces at random. */
  readonly splitChance: number;
  delayMs(from: Place, to: Place): number;
  isCut(from: Place, to: Place): boolean;
  fraction(): number;
  forget(end: SimConnection): void;
}

/** What leaves in one instant travels together. */
interface Segment {
  readonly sentMs: number;
  readonly parts: Uint8Array[];
  readonly fin: boolean;
  arrived: boolean;
}

/** How long a peer that does not close its side may hold ours after `end`: as the real adapter has it. */
const lingerMs = 2000;

/**
 * One end of a simulated connection. Bytes pass three places: `#waiting` (ours, what `bufferedBytes` counts), the system's
 * (`#systemBytes`: sent, and not yet read by the other program), and `#arrived` at the other end. Order is kept, delays are those of
 * this connection alone.
 */
export class SimConnection implements Connection {
  readonly peer: Address;
  readonly local: Address;
  readonly place: Place;
  readonly #life: SimLife;
  readonly #carrier: Carrier;
  readonly #extraMs: number;
  #other: SimConnection | undefined;
  #handlers: ConnectionHandlers | undefined;
  #state: "open" | "ended" | "closed" = "open";
  #closeTold = false;
  #error: Error | undefined;
  #stopListening: () => void = () => {};
  #linger: SimEvent | undefined;

  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #behind = false;
  #systemBytes = 0;
  #windowPlanned = false;
  #finSent = false;
  /** Segments that a cut or a stall keeps from leaving. */
  #stuck: Segment[] = [];
  #stalled = false;
  #lastSegment: Segment | undefined;
  #lastArrivalMs = 0;

  #arrived: Uint8Array[] = [];
  #finArrived = false;
  #paused = false;
  #delivering = false;

  constructor(
    carrier: Carrier,
    life: SimLife,
    place: Place,
    addresses: { readonly peer: Address; readonly local: Address },
    extraMs: number,
  ) {
    this.#carrier = carrier;
    this.#life = life;
    this.place = place;
    this.peer = addresses.peer;
    this.local = addresses.local;
    this.#extraMs = extraMs;
    this.#stopListening = life.onEnd((manner) => this.#lifeEnded(manner));
  }

  /** Joins two ends; nothing that `near` hears may come before the instant at which it knows that the connection stands. */
  static join(near: SimConnection, far: SimConnection, knownMs: number): void {
    near.#other = far;
    far.#other = near;
    far.#lastArrivalMs = knownMs;
  }

  get bufferedBytes(): number {
    return this.#waitingBytes;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  get life(): SimLife {
    return this.#life;
  }

  get other(): SimConnection | undefined {
    return this.#other;
  }

  open(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    if (this.#state === "closed") this.#tellClose();
    else if (this.#arrived.length > 0 || this.#finArrived) this.#life.plan(this.#nowMs, "input", () => this.#deliver());
  }

  write(bytes: Uint8Array): void {
    if (this.#state !== "open" || !this.#life.alive || bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#pump();
    if (this.#waitingBytes > 0) this.#behind = true;
  }

  pause(): void {
    if (this.#state === "open") this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#delivering && this.#life.alive && (this.#arrived.length > 0 || this.#finArrived))
      this.#life.plan(this.#nowMs, "input", () => this.#deliver());
  }

  end(): void {
    if (this.#state !== "open" || !this.#life.alive) return;
    this.#state = "ended";
    this.#linger = this.#life.plan(this.#nowMs + lingerMs, "timer", () => this.destroy());
    this.#pump();
    this.resume();
  }

  destroy(): void {
    if (this.#state === "closed" || !this.#life.alive) return;
    this.#leave();
    this.#close(undefined);
  }

  /** Breaks both ends, as a middle box or the system of one side does; what is under way is lost. */
  break(): void {
    const other = this.#other;
    if (other !== undefined) other.#breakHere();
    this.#breakHere();
  }

  stall(): void {
    this.#stalled = true;
  }

  /** What was kept back leaves now, if nothing keeps it any longer: after a stall, or when a cut is mended. */
  unstall(): void {
    this.#stalled = false;
    this.retry();
  }

  retry(): void {
    if (this.#stuck.length === 0 || this.#isHeld()) return;
    const stuck = this.#stuck;
    this.#stuck = [];
    // Systems re-send after a while, not in the instant in which the path is whole again.
    const backoffMs = 200 * this.#carrier.fraction();
    for (const segment of stuck) this.#launch(segment, backoffMs);
  }

  /** The other end's host has come back and knows nothing of this connection: whatever we send is answered by a reset. */
  resetBySystem(delayMs: number): void {
    if (this.#state !== "closed") this.#life.plan(this.#nowMs + delayMs, "input", () => this.#breakHere());
  }

  get unacknowledged(): boolean {
    return this.#systemBytes > 0 || this.#waitingBytes > 0;
  }

  get #nowMs(): number {
    return this.#life.world.nowMs;
  }

  #isHeld(): boolean {
    const other = this.#other;
    return this.#stalled || (other !== undefined && this.#carrier.isCut(this.place, other.place));
  }

  /** Moves what waits into the system, as far as it takes it. */
  #pump(): void {
    while (this.#waiting.length > 0) {
      const room = this.#carrier.systemBytesMax - this.#systemBytes;
      const first = this.#waiting[0];
      if (room <= 0 || first === undefined) return;
      const part = first.length <= room ? first : first.subarray(0, room);
      if (part === first) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(room);
      this.#waitingBytes -= part.length;
      this.#systemBytes += part.length;
      this.#send(part);
    }
    if (this.#state === "ended" && !this.#finSent) this.#sendFin();
  }

  #send(part: Uint8Array): void {
    const last = this.#lastSegment;
    if (last !== undefined && !last.arrived && !last.fin && last.sentMs === this.#nowMs) last.parts.push(part);
    else this.#dispatch({ sentMs: this.#nowMs, parts: [part], fin: false, arrived: false });
  }

  #sendFin(): void {
    this.#finSent = true;
    this.#dispatch({ sentMs: this.#nowMs, parts: [], fin: true, arrived: false });
    this.#closeWhenDone();
  }

  #dispatch(segment: Segment): void {
    this.#lastSegment = segment;
    if (this.#stuck.length > 0 || this.#isHeld()) this.#stuck.push(segment);
    else this.#launch(segment, 0);
  }

  #launch(segment: Segment, backoffMs: number): void {
    const other = this.#other;
    if (other === undefined) return;
    // The program there was started anew: its system does not know this connection.
    if (!other.#life.alive && other.#life.node.alive) {
      this.resetBySystem(2 * this.#delayToOther());
      return;
    }
    const arrivalMs = Math.max(
      this.#lastArrivalMs,
      this.#nowMs + backoffMs + this.#extraMs + this.#carrier.delayMs(this.place, other.place),
    );
    this.#lastArrivalMs = arrivalMs;
    other.#life.plan(arrivalMs, "input", () => {
      segment.arrived = true;
      other.#receive(segment, this);
    });
  }

  #receive(segment: Segment, from: SimConnection): void {
    if (this.#state === "closed") {
      // Data for a connection that is gone is answered by a reset, its end by nothing.
      if (!segment.fin) from.resetBySystem(this.#carrier.delayMs(this.place, from.place));
      return;
    }
    for (const part of segment.parts) this.#arrived.push(part);
    if (segment.fin) this.#finArrived = true;
    this.#deliver();
  }

  #deliver(): void {
    if (this.#handlers === undefined || this.#delivering) return;
    this.#delivering = true;
    try {
      for (let part = this.#next(); part !== undefined; part = this.#next()) {
        if (this.#other !== undefined) this.#other.#credit(part.length);
        if (this.#state === "open") this.#hand(part);
      }
    } finally {
      this.#delivering = false;
    }
    if (this.#finArrived && this.#arrived.length === 0 && !this.#paused && this.#state !== "closed") this.#peerEnded();
  }

  /** What the program is given next; sometimes only the beginning of what has come, so that decoders are exercised. */
  #next(): Uint8Array | undefined {
    if (this.#paused || this.#state === "closed") return undefined;
    const part = this.#arrived.shift();
    if (part === undefined || part.length < 2 || this.#carrier.fraction() >= this.#carrier.splitChance) return part;
    const cut = 1 + Math.floor(this.#carrier.fraction() * (part.length - 1));
    this.#arrived.unshift(part.subarray(cut));
    return part.subarray(0, cut);
  }

  /** Sometimes in memory that is overwritten afterwards: a handler must not keep what it is lent. */
  #hand(part: Uint8Array): void {
    if (this.#carrier.fraction() >= this.#carrier.splitChance) {
      this.#handlers?.data(part);
      return;
    }
    // Not `slice`, which of a Buffer copies nothing.
    const lent = new Uint8Array(part);
    this.#handlers?.data(lent);
    lent.fill(0xdb);
  }

  /** The other program has read so much: room for what waits, after the time that the news takes. */
  #credit(bytes: number): void {
    this.#systemBytes = Math.max(0, this.#systemBytes - bytes);
    const other = this.#other;
    if (this.#waitingBytes === 0 || this.#windowPlanned || other === undefined || this.#state === "closed") return;
    this.#windowPlanned = true;
    this.#life.plan(this.#nowMs + this.#carrier.delayMs(other.place, this.place), "input", () => {
      this.#windowPlanned = false;
      if (this.#state === "closed") return;
      this.#pump();
      if (this.#waitingBytes > 0 || !this.#behind) return;
      this.#behind = false;
      this.#handlers?.drain();
    });
  }

  /** As sockets that do not stay half open: what we still have is sent, then our side ends too. */
  #peerEnded(): void {
    if (this.#state === "open") {
      this.#state = "ended";
      this.#pump();
    }
    this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (this.#finSent && this.#finArrived && this.#arrived.length === 0 && this.#state !== "closed") this.#close(undefined);
  }

  #breakHere(): void {
    if (this.#state === "closed") return;
    this.#close(reset(this.peer));
  }

  /** What the system does when the program lets go: what it has taken is still sent, then an end; a reset if something was left unread. */
  #leave(): void {
    if (this.#arrived.length > 0) this.#other?.resetBySystem(this.#delayToOther());
    else if (!this.#finSent) this.#dispatch({ sentMs: this.#nowMs, parts: [], fin: true, arrived: false });
  }

  #delayToOther(): number {
    return this.#other === undefined ? 0 : this.#carrier.delayMs(this.place, this.#other.place);
  }

  #lifeEnded(manner: CrashManner): void {
    if (this.#state === "closed") return;
    if (manner === "reset") this.#leave();
    else this.#stuck = [];
    this.#state = "closed";
    this.#drop();
  }

  #close(error: Error | undefined): void {
    this.#state = "closed";
    this.#error = error;
    this.#drop();
    this.#stopListening();
    if (this.#linger !== undefined) this.#life.world.cancel(this.#linger);
    if (this.#handlers !== undefined) this.#tellClose();
  }

  #drop(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#arrived = [];
    this.#carrier.forget(this);
  }

  #tellClose(): void {
    if (this.#closeTold) return;
    this.#closeTold = true;
    this.#life.plan(this.#nowMs, "input", () => this.#handlers?.close(this.#error));
  }
}
