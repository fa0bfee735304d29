import { type Clock, type JsonValue, MusterError, type Telemetry, type Timer, errorOf } from "../kernel/index.ts";
import type { Address } from "../transport/index.ts";
import type { Beat, ExpiryAction } from "./messages.ts";
import type { PulseKeeper } from "./pulse-keeper.ts";
import type { RequestOperation } from "./requests.ts";

/** One entry that this program keeps bound. */
export interface Binding {
  readonly table: string;
  readonly key: string;
  /** Undefined: the entry exists already and keeps its value. */
  value: JsonValue | undefined;
  valid: boolean;
  readonly maxPeriodMs: number;
  readonly onExpiry: ExpiryAction;
  /** Beats are sent by the handle itself; otherwise the program calls `heartbeat` each time. */
  readonly automatic: boolean;
}

export interface BindingsPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly change: (operations: readonly RequestOperation[]) => Promise<unknown>;
  readonly beat: (beat: Beat) => void;
  /** The reign that our copy of the roll is of, and the question to the directory whether our session counts in it. */
  readonly epoch: () => number;
  readonly admit: () => void;
  /** Keeps automatic entries alive from outside the main loop; absent where there is no such place. */
  readonly pulse?: PulseKeeper | undefined;
  /** The program's token, and where its watcher is reached at present. */
  readonly token: string;
  readonly watcher: () => Address | undefined;
}

/** Beats in a period; pulses leave as often. */
const beatsPerPeriod = 3;
/** While pulses keep an entry alive, its beats only repeat what the watcher is to know of it. */
const periodsPerRegistration = 3;
/** A refused claim is made again after so long at most: what refuses it (a host not known yet, an older claimant) may pass. */
const reclaimMsMax = 1000;
/** A key that another program holds is given up after so many claims. */
const claimsMax = 30;

interface Held {
  readonly binding: Binding;
  timer: Timer | undefined;
  /** `claiming`: a change is under way; `unbound`: the last claim was refused, the next one is due. */
  state: "bound" | "claiming" | "unbound";
  claimTimer: Timer | undefined;
  /** Claims in a row that were refused because another program holds the key. */
  refusals: number;
}

/**
 * The entries that this program holds. They are bound by a change, kept by heartbeats, and bound again when the watcher
 * says that one has lapsed or when the session is a new one.
 */
export class Bindings {
  readonly #ports: BindingsPorts;
  readonly #bindings = new Map<string, Held>();
  /** The reign in which the directory last said that our session counts. */
  #admittedEpoch = 0;

  constructor(ports: BindingsPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#bindings.size;
  }

  get(table: string, key: string): Binding | undefined {
    return this.#bindings.get(`${table}\u0000${key}`)?.binding;
  }

  /** `besides`: what belongs into the same change. */
  async bind(binding: Binding, besides: readonly RequestOperation[] = []): Promise<void> {
    await this.#ports.change([operationOf(binding), ...besides]);
    const name = `${binding.table}\u0000${binding.key}`;
    this.#stop(name);
    this.#bindings.set(name, { binding, timer: undefined, state: "bound", claimTimer: undefined, refusals: 0 });
    this.#aim();
    this.#beat(name);
  }

  /** The watcher is reached over a new link, and may be a new one: it is told what to watch. */
  followed(): void {
    this.#aim();
    this.#beatAll();
  }

  #beatAll(): void {
    for (const [name, { timer, binding }] of this.#bindings) {
      if (!binding.automatic) continue;
      timer?.cancel();
      this.#beat(name);
    }
  }

  /** Pulses go where the beats go, as often as the shortest period asks for. */
  #aim(): void {
    const { pulse, token, watcher } = this.#ports;
    if (pulse === undefined) return;
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const { binding } of this.#bindings.values()) if (binding.automatic) shortestMs = Math.min(shortestMs, binding.maxPeriodMs);
    if (shortestMs === Number.POSITIVE_INFINITY) {
      pulse.keep(undefined);
      return;
    }
    const address = watcher();
    // While there is no way to it, pulses look for it where it was.
    if (address === undefined) return;
    const changed = () => {
      if (!pulse.works) this.#beatAll();
    };
    pulse.keep({ watcher: address, token, everyMs: shortestMs / beatsPerPeriod, changed });
  }

  /** The program's own call: sends one heartbeat now. */
  beat(table: string, key: string): void {
    const held = this.#bindings.get(`${table}\u0000${key}`);
    if (held !== undefined) this.#send(held.binding);
  }

  #send(binding: Binding): void {
    const { table, key, maxPeriodMs, onExpiry, automatic } = binding;
    this.#ports.beat({ table, key, maxPeriodMs, onExpiry, ...(automatic ? { automatic } : {}) });
  }

  #beat(name: string): void {
    const held = this.#bindings.get(name);
    if (held === undefined) return;
    this.#send(held.binding);
    const { automatic, maxPeriodMs } = held.binding;
    if (!automatic) return;
    const pauseMs = this.#ports.pulse?.works === true ? maxPeriodMs * periodsPerRegistration : maxPeriodMs / beatsPerPeriod;
    held.timer = this.#ports.clock.schedule(pauseMs, () => this.#beat(name));
  }

  /**
   * The watcher has no live entry for our heartbeat: bind it again, or end when somebody ended it on purpose. In a reign that has
   * not said yet that our session counts nobody did: its roll may be older than our claim, which is then made again.
   */
  lapsed(table: string, key: string, ended: boolean): void {
    const name = `${table}\u0000${key}`;
    const held = this.#bindings.get(name);
    if (held === undefined || held.state !== "bound") return;
    if (!ended) {
      this.#claim(name);
      return;
    }
    if (this.#admittedEpoch === this.#ports.epoch()) this.#end(held, "the entry was deleted or is held by another program");
    else this.#ports.admit();
  }

  #end({ binding: { table, key } }: Held, reason: string): void {
    this.drop(table, key);
    this.#ports.telemetry.log("warn", "binding-ended", { table, key, reason });
  }

  #claim(name: string): void {
    const held = this.#bindings.get(name);
    if (held === undefined || held.state === "claiming") return;
    held.state = "claiming";
    held.claimTimer?.cancel();
    this.#ports.change([operationOf(held.binding)]).then(
      () => {
        held.state = "bound";
        held.refusals = 0;
        if (this.#bindings.get(name) === held) this.#send(held.binding);
      },
      (thrown: unknown) => {
        held.state = "unbound";
        if (this.#bindings.get(name) === held) this.#refused(name, held, errorOf(thrown));
      },
    );
  }

  #refused(name: string, held: Held, refusal: Error): void {
    const { table, key, maxPeriodMs } = held.binding;
    held.refusals = refusal instanceof MusterError && refusal.code === "roll/key-claimed" ? held.refusals + 1 : 0;
    if (held.refusals >= claimsMax) {
      this.#end(held, refusal.message);
      return;
    }
    this.#ports.telemetry.log("warn", "rebind-refused", { table, key, reason: refusal.message });
    held.claimTimer = this.#ports.clock.schedule(Math.min(maxPeriodMs, reclaimMsMax), () => this.#claim(name));
  }

  /** The directory takes this session; a new one claims again what we held under the old one. */
  admitted(isNew: boolean): void {
    this.#admittedEpoch = this.#ports.epoch();
    if (isNew) for (const name of this.#bindings.keys()) this.#claim(name);
  }

  drop(table: string, key: string): void {
    const name = `${table}\u0000${key}`;
    this.#stop(name);
    if (this.#bindings.delete(name)) this.#aim();
  }

  #stop(name: string): void {
    const held = this.#bindings.get(name);
    held?.timer?.cancel();
    held?.claimTimer?.cancel();
  }

  close(): void {
    for (const name of this.#bindings.keys()) this.#stop(name);
    this.#bindings.clear();
    this.#aim();
  }
}

function operationOf(binding: Binding): RequestOperation {
  const { table, key, value, valid } = binding;
  // The watcher writes its own name over this one.
  return { op: "bind", table, key, watcher: "", valid, ...(value === undefined ? {} : { value }) };
}
