import { type Clock, type JsonValue, type Telemetry, type Timer, errorOf } from "../kernel/index.ts";
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

/**
 * The entries that this program holds. They are bound by a change, kept by heartbeats, and bound again when the watcher
 * says that one has lapsed or when the session is a new one.
 */
export class Bindings {
  readonly #ports: BindingsPorts;
  readonly #bindings = new Map<string, { binding: Binding; timer: Timer | undefined; rebinding: boolean }>();

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
    this.#bindings.get(name)?.timer?.cancel();
    const held = { binding, timer: undefined, rebinding: false };
    this.#bindings.set(name, held);
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

  /** The watcher has no live entry for our heartbeat: bind it again, or end when somebody ended it on purpose. */
  lapsed(table: string, key: string, ended: boolean): void {
    const name = `${table}\u0000${key}`;
    const held = this.#bindings.get(name);
    if (held === undefined || held.rebinding) return;
    if (ended) {
      this.drop(table, key);
      this.#ports.telemetry.log("warn", "binding-ended", { table, key, reason: "the entry was deleted or is held by another program" });
      return;
    }
    this.#rebind(name);
  }

  #rebind(name: string): void {
    const held = this.#bindings.get(name);
    if (held === undefined || held.rebinding) return;
    held.rebinding = true;
    this.#ports
      .change([operationOf(held.binding)])
      .then(() => this.#send(held.binding))
      .catch((thrown: unknown) => {
        const { table, key } = held.binding;
        this.#ports.telemetry.log("warn", "rebind-refused", { table, key, reason: errorOf(thrown).message });
      })
      .finally(() => {
        held.rebinding = false;
      });
  }

  /** The session is a new one: what we held under the old one is claimed again. */
  rebindAll(): void {
    for (const name of this.#bindings.keys()) this.#rebind(name);
  }

  drop(table: string, key: string): void {
    const name = `${table}\u0000${key}`;
    this.#bindings.get(name)?.timer?.cancel();
    if (this.#bindings.delete(name)) this.#aim();
  }

  close(): void {
    for (const held of this.#bindings.values()) held.timer?.cancel();
    this.#bindings.clear();
    this.#aim();
  }
}

function operationOf(binding: Binding): RequestOperation {
  const { table, key, value, valid } = binding;
  // The watcher writes its own name over this one.
  return { op: "bind", table, key, watcher: "", valid, ...(value === undefined ? {} : { value }) };
}
