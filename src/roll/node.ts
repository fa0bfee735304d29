import { type JsonValue, MusterError, type Revision } from "../kernel/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Address, Listener } from "../transport/index.ts";
import type { Bindings } from "./bindings.ts";
import type { ChangeLog } from "./change-log.ts";
import type { Epochs } from "./epochs.ts";
import { type Range, always, everything, normaliseRanges } from "./interest.ts";
import { noParent } from "./errors.ts";
import { decodeValue, encodeJson, message, method } from "./messages.ts";
import type { Neighbours } from "./neighbours.ts";
import { NodeCore } from "./node-core.ts";
import type { NodeOptions, NodePorts } from "./node-options.ts";
import type { Condition, RequestOperation } from "./requests.ts";
import type { SettleHold } from "./settle-holds.ts";
import { nodeStatus } from "./status.ts";

const queryOptions = Object.freeze({ deadlineMs: 10_000 });

/**
 * One kind of node: a directory has no parent and owns the order, a relay has both sides, an agent's children are the
 * programs of its host, a client has no children. This is what others see of it; how its parts work together is `NodeCore`.
 */
export class RollNode {
  readonly #core: NodeCore;

  constructor(options: NodeOptions, ports: NodePorts) {
    this.#core = new NodeCore(options, ports);
  }

  get options(): NodeOptions {
    return this.#core.options;
  }

  get replica(): Replica {
    return this.#core.replica;
  }

  /** What this node takes from the system: whoever stands on it takes the same. */
  get ports(): NodePorts {
    return this.#core.ports;
  }

  // Life.

  /** Begins to follow, or opens the store and reigns. Rejects only for what will not mend itself (`storage/*`). */
  async start(): Promise<void> {
    this.#core.pulse.start();
    if (this.#core.options.role !== "client") this.#core.programs.start();
    if (this.#core.directory !== undefined) {
      this.#core.directory.onReign = () => this.#core.reigns();
      await this.#core.directory.start();
    } else this.#core.uplink?.start();
  }

  /** Resolves when lookups answer from a whole replica. */
  ready(signal?: AbortSignal): Promise<void> {
    if (this.#core.isReady) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const abort = () => reject(this.#core.uplink?.lastError ?? signal?.reason);
      if (signal?.aborted === true) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      this.#core.whenReady.push(resolve);
    });
  }

  get isReady(): boolean {
    return this.#core.isReady;
  }

  async listen(address: Address): Promise<Listener> {
    const listener = await this.#core.ports.transport.listen(address, (connection) => this.#core.downlinks.accept(connection));
    this.#core.listeners.push(listener);
    return listener;
  }

  /** Leaves in good order: what this node holds ends with it, changes under way are waited for by the directory only. */
  async close(): Promise<void> {
    if (this.#core.closed) return;
    this.#core.closed = true;
    this.#core.pulse.close();
    this.#core.admission.close();
    this.#core.programs.close();
    this.#core.bindings.close();
    this.#core.uplink?.close();
    const closing = this.#core.listeners.map((listener) => listener.close());
    await this.#core.directory?.close();
    this.#core.downlinks.close(new MusterError("roll/closing", "the parent is shutting down"));
    this.#core.desk.close();
    await Promise.all(closing);
  }

  // What a program sees.

  get fleet(): string {
    return this.#core.fleet;
  }

  get detached(): boolean {
    if (this.#core.directory !== undefined) return false;
    // Before its admission the directory does not count on a node, whatever it hears.
    return this.#core.follower.detached || (this.#core.want.length > 0 && this.#core.desk.writer.session === 0);
  }

  get ageMs(): number {
    return this.#core.directory === undefined ? this.#core.follower.ageMs : 0;
  }

  get position(): Revision {
    return this.#core.replica.position;
  }

  get bindings(): Bindings {
    return this.#core.bindings;
  }

  /** What the parent calls itself: for a program on a host, the host. */
  get parent(): { readonly address: string; readonly local: string; readonly name: string; readonly role: string } | undefined {
    return this.#core.uplink?.parent;
  }

  /** Who is next to this node: for probes of the routes between them. */
  get neighbours(): Neighbours {
    return this.#core.neighbours;
  }

  /** The way to the parent is gone, as probes say: another parent, or another way to it, is tried at once. */
  leaveParent(why: string): void {
    this.#core.uplink?.leave(new MusterError("roll/parent-unheard", why, { next: "another one is tried" }));
  }

  /**
   * Nothing is heard of a host on any route, as several nodes agree: it is given up, unless too many are silent at once. Names the
   * attachment that it is about, as `attachedAgents` did; about an older one, or a host that is not attached here, it is ignored.
   */
  hostSilent(host: string, attachment: { readonly session: number; readonly counter: number }, why: string): void {
    this.#core.admission.evidence.hostSilent(host, attachment, why);
  }

  /** A host that was silent is heard again: what `hostSilent` brought about ends. Harmless at any time. */
  hostHeard(host: string): void {
    this.#core.admission.evidence.hostHeard(host);
  }

  /**
   * Route `number` of a host was cut (`valid` false), or is back, damped by the caller. Of hosts whose agents are attached here and of
   * this agent's own host. A change only if it is news; a route that an operator set invalid stays invalid.
   */
  routeNews(host: string, number: number, valid: boolean, why: string): void {
    this.#core.admission.evidence.routeNews(host, number, valid, why);
  }

  /** Hosts whose silence the directory's mass-failure guard holds back; 0 elsewhere. */
  get guardedHosts(): number {
    return this.#core.directory?.expiry.held.length ?? 0;
  }

  get lastError(): MusterError | undefined {
    return this.#core.admission.refused ?? this.#core.uplink?.lastError;
  }

  /** The newest changes, for watches that resume. */
  get log(): ChangeLog {
    return this.#core.log;
  }

  get epochs(): Epochs {
    return this.#core.epochs;
  }

  /** One change; resolves when this node has applied it, rejects with the refusal. */
  change(
    operations: readonly RequestOperation[],
    conditions: readonly Condition[] = [],
    options: { readonly coherent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Revision> {
    return this.#core.desk.change(operations, conditions, options);
  }

  /** Resolves when every attached node has applied the revision; says how many are detached. */
  async settled(revision: Revision, signal?: AbortSignal): Promise<number> {
    return this.#core.settle(revision.sequence, signal ?? new AbortController().signal);
  }

  /** The node's answer to a barrier waits for what `hold` returns, at most a second. Ends when the returned function is called. */
  beforeSettled(hold: SettleHold): () => void {
    return this.#core.holds.add(hold);
  }

  /** Asks the parent what it knows. */
  query(verb: string, args: JsonValue): Promise<JsonValue> {
    const { uplink } = this.#core;
    if (uplink === undefined) return new Promise((resolve) => resolve(this.#core.query(verb, args)));
    if (uplink.link === undefined) return Promise.reject(noParent(uplink.lastError));
    return uplink.link.call(method.query, encodeJson({ verb, args }), queryOptions).then(decodeValue);
  }

  /** Waits for `promise`, but not longer than `limitMs`. */
  within(limitMs: number, promise: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#core.ports.clock.schedule(limitMs, resolve);
      const done = () => {
        timer.cancel();
        resolve();
      };
      promise.then(done, done);
    });
  }

  /** The ranges that are whole here at the present position. */
  get held(): readonly Range[] {
    return this.#core.directory === undefined ? this.#core.follower.held : everything;
  }

  /** Asks for more ranges; they are there when `held` names them. */
  widen(ranges: readonly Range[]): void {
    this.#core.want = normaliseRanges([...this.#core.want, ...always, ...ranges]);
    this.#core.uplink?.link?.send(message.interest, encodeJson({ want: this.#core.want }));
  }

  status(): { readonly [name: string]: JsonValue } {
    return nodeStatus({
      node: this,
      directory: this.#core.directory,
      epoch: this.#core.directory?.authority?.epoch ?? this.#core.follower.epoch,
      parentError: this.#core.uplink?.lastError,
      downlinks: this.#core.downlinks.size,
      children: this.#core.children,
      listeners: this.#core.listeners,
      session: this.#core.desk.writer.session,
      openChanges: this.#core.desk.openCount,
      programs: this.#core.programs,
      settling: this.#core.settlement?.size ?? 0,
    });
  }
}
