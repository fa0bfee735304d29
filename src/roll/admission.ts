import { type Clock, type JsonValue, MusterError, type Telemetry, errorOf } from "../kernel/index.ts";
import type { Child } from "./child.ts";
import type { Children } from "./children.ts";
import type { Directory } from "./directory.ts";
import { Evidence } from "./evidence.ts";
import { type Admit, type Presence, decodeJson, encodeJson, message, method } from "./messages.ts";
import type { SessionKind } from "./sessions.ts";
import type { Uplink } from "./uplink.ts";

const admitMsMax = 10_000;

export interface AdmissionPorts {
  readonly ports: { readonly clock: Clock; readonly telemetry: Telemetry };
  readonly tickMs: number;
  readonly directory: Directory | undefined;
  readonly uplink: Uplink | undefined;
  readonly children: Children;
  readonly identity: {
    readonly role: SessionKind;
    readonly name: string;
    readonly token: string;
    readonly routes: readonly string[] | undefined;
    readonly attributes: Readonly<Record<string, JsonValue>>;
  };
  /** Runs the callback when the child, and everybody below it, has all that is here now; or when it has ended. */
  readonly confirmed: (child: Child, then: () => void) => void;
  readonly counter: () => number;
  readonly admitted: (session: number) => void;
  /** The writer is gone for good. */
  readonly forget: (session: number) => void;
}

/**
 * Who is who: this node's own session, the sessions of those below, and the news about who is attached where on its way
 * to the directory. A node asks for admission whenever it begins to hear the directory again; asking twice is harmless.
 */
export class Admission {
  readonly #ports: AdmissionPorts;
  readonly #via = new Map<Child, number>();
  #nextVia = 1;
  #asking = false;
  #closed = false;
  #refused: MusterError | undefined;
  #session = 0;
  /** What is found out about the routes of hosts goes the same way as who is attached. */
  readonly evidence: Evidence;

  constructor(ports: AdmissionPorts) {
    this.#ports = ports;
    const { directory, uplink, children, identity, tickMs } = ports;
    const isAgent = identity.role === "agent" || (identity.role === "directory" && identity.routes !== undefined);
    this.evidence = new Evidence({
      clock: ports.ports.clock,
      telemetry: ports.ports.telemetry,
      directory,
      uplink,
      children,
      tickMs,
      self: () => (isAgent && this.#session > 0 ? { host: identity.name, session: this.#session, counter: ports.counter() } : undefined),
      via: (child) => this.#viaOf(child),
    });
  }

  /** Why the directory did not take this node last; undefined when it did. */
  get refused(): MusterError | undefined {
    return this.#refused;
  }

  close(): void {
    this.#closed = true;
  }

  async ask(): Promise<void> {
    if (this.#asking || this.#closed) return;
    this.#asking = true;
    const before = this.#refused?.code;
    const { identity, directory } = this.#ports;
    const { telemetry } = this.#ports.ports;
    const { role, name, token, routes = [], attributes } = identity;
    // A directory that was given a host is that host's agent too.
    const kind = role === "directory" && identity.routes !== undefined ? "agent" : role;
    const admit = { kind, name, token, counter: this.#ports.counter(), routes, attributes };
    try {
      const session = directory === undefined ? await this.#askParent(admit) : await directory.admit(admit, 0);
      this.#refused = undefined;
      if (session === undefined || this.#closed) return;
      this.#session = session;
      this.#ports.admitted(session);
    } catch (thrown) {
      this.#refused = thrown instanceof MusterError ? thrown : new MusterError("roll/not-admitted", errorOf(thrown).message);
      // Asked again at each tick: said when it begins.
      if (this.#refused.code !== before) telemetry.log("warn", "not-admitted", { code: this.#refused.code, reason: this.#refused.message });
      // The next tick asks again.
    } finally {
      this.#asking = false;
    }
  }

  async #askParent(admit: Admit): Promise<number | undefined> {
    const link = this.#ports.uplink?.link;
    if (link === undefined) return undefined;
    const answer = decodeJson(await link.call(method.admit, encodeJson(admit), { deadlineMs: admitMsMax }));
    return Number(answer["session"]);
  }

  async below(admit: Admit, child: Child): Promise<number> {
    const { directory } = this.#ports;
    if (directory !== undefined) return directory.admit(admit, this.#viaOf(child));
    const session = await this.#askParent(admit);
    if (session === undefined)
      throw new MusterError("roll/no-parent", "this node has no parent at present", { next: "it is asked again at the next tick" });
    return session;
  }

  #viaOf(child: Child): number {
    let via = this.#via.get(child);
    if (via === undefined) {
      via = this.#nextVia++;
      this.#via.set(child, via);
    }
    return via;
  }

  presence(news: Presence, child: Child): void {
    if (news.session === 0) return;
    const { directory, uplink } = this.#ports;
    if (directory === undefined) uplink?.link?.send(message.presence, encodeJson(news));
    else directory.presence(news, news.state === "attached" ? this.#viaOf(child) : -1);
    if (news.state === "gone") this.#ports.forget(news.session);
  }

  /** The link of a child ended: it has left, and everybody below it. */
  ended(child: Child): void {
    // That a relay is gone says nothing about those below it.
    for (const [session, counter] of child.below) this.presence({ session, counter, state: "left", cause: "unknown" }, child);
    const state = child.leaving && child.hello.role === "client" ? "gone" : "left";
    this.presence({ session: child.session, counter: child.counter, state, cause: child.departure }, child);
    const via = this.#via.get(child);
    if (via !== undefined) this.#ports.directory?.lost(via);
    this.#via.delete(child);
  }

  /**
   * After this node has begun to hear the directory again, it hears in turn who is below. Of each child only when it has
   * everything that is here now: until then the directory counts it at its last position.
   */
  announceBelow(): void {
    const { uplink, children, confirmed } = this.#ports;
    const link = uplink?.link;
    if (link === undefined) return;
    for (const child of children) {
      const { session, counter } = child;
      const below = [...child.below];
      const own = session > 0 && child.announced;
      if (!own && below.length === 0) continue;
      confirmed(child, () => {
        if (uplink?.link !== link || !child.link.isOpen) return;
        if (own) link.send(message.presence, encodeJson({ session, counter, state: "attached" }));
        for (const [one, its] of below)
          if (child.below.get(one) === its) link.send(message.presence, encodeJson({ session: one, counter: its, state: "attached" }));
      });
    }
  }
}
