import { type Clock, MusterError, type Telemetry, compareRevision } from "../kernel/index.ts";
import { type CallContext, type Link, type LinkHandlers, openLink } from "../link/index.ts";
import type { Replica } from "../tables/index.ts";
import type { Connection } from "../transport/index.ts";
import { Child } from "./child.ts";
import type { Children } from "./children.ts";
import { parseRanges } from "./interest.ts";
import {
  type Admit,
  type Attach,
  type Attached,
  type Beat,
  type Hello,
  decodeJson,
  encodeJson,
  message,
  method,
  parseAdmit,
  parseAttach,
  parseBeat,
  parseHello,
  parsePresence,
  parsePulse,
  type PulseNews,
  type Presence,
  protocolVersions,
} from "./messages.ts";
import type { RollLimits } from "./options.ts";
import { type ChangeRequest, parseChangeRequest } from "./requests.ts";

/** What the node does for the nodes below it. */
export interface DownlinkPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly children: Children;
  readonly limits: RollLimits;
  readonly protocolMax: number;
  readonly hello: () => Hello;
  /** Undefined while there is nothing to follow yet: the child waits. */
  readonly answer: (child: Child, attach: Attach) => Omit<Attached, "resumed"> | undefined;
  /** What an agent or a relay is told besides, to probe with. */
  readonly probing: () => Pick<Attached, "secret" | "probes">;
  /** Another child is attached, admitted or gone. */
  readonly changed: () => void;
  /** The answer as JSON. */
  readonly query: (verb: string, args: unknown) => Uint8Array;
  readonly admit: (admit: Admit, child: Child) => Promise<number>;
  readonly settle: (sequence: number, signal: AbortSignal) => Promise<number>;
  readonly change: (request: ChangeRequest, child: Child) => void;
  readonly beat: (beat: Beat, child: Child) => void;
  /** A program's pulse, over a link of its own. */
  readonly pulse: (news: PulseNews, child: Child) => void;
  readonly presence: (news: Presence, child: Child) => void;
  /** What a child found out about hosts and routes below it. */
  readonly evidence: (child: Child, kind: number, body: Uint8Array) => void;
  readonly settled: (child: Child, id: number) => void;
  readonly present: (child: Child) => void;
  readonly ended: (child: Child, byUs: boolean) => void;
  /** The current tick, sent to whoever has just caught up. */
  readonly ticks: () => number;
  /** A node of an older fleet stands before an empty directory. */
  readonly offer: (child: Child, body: Readonly<Record<string, unknown>>) => void;
  /** A part of the replica that an empty directory adopts. */
  readonly adopt: (child: Child, kind: number, body: Uint8Array) => void;
}

/** The doors of a node for its children: one link each, one parser for all that comes. */
export class Downlinks {
  readonly #ports: DownlinkPorts;
  readonly #open = new Set<Child>();
  readonly #waiting = new Map<Child, Attach>();

  constructor(ports: DownlinkPorts) {
    this.#ports = ports;
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Child> {
    return this.#open[Symbol.iterator]();
  }

  accept(connection: Connection): void {
    const { clock, telemetry, protocolMax } = this.#ports;
    openLink({
      connection,
      clock,
      hello: { ...this.#ports.hello() },
      versions: { min: protocolVersions.min, max: protocolMax },
      accept: (link, peerHello) => this.#admitLink(link, parseHello(peerHello)),
    }).catch((thrown: unknown) =>
      telemetry.log("debug", "link-refused", { reason: thrown instanceof Error ? thrown.message : String(thrown) }),
    );
  }

  #admitLink(link: Link, hello: Hello): LinkHandlers {
    const { limits, telemetry } = this.#ports;
    if (this.#open.size >= limits.childrenMax)
      throw new MusterError("roll/too-many-children", `this node has ${this.#open.size} children, which is its limit`, {
        next: "attach to another relay, or raise childrenMax",
      });
    const ours = this.#ports.hello().fleet;
    if (ours !== "" && hello.fleet !== "" && ours !== hello.fleet)
      throw new MusterError("roll/other-fleet", `this node belongs to fleet ${ours}, you to ${hello.fleet}`, { next: "check --parent" });
    const child = new Child(link, hello);
    child.aliveAt = this.#ports.ticks();
    this.#open.add(child);
    return {
      call: (kind, body, context) => this.#call(child, kind, body, context),
      message: (kind, body) => {
        try {
          this.#message(child, kind, body);
        } catch (thrown) {
          const error =
            thrown instanceof MusterError ? thrown : new MusterError("roll/bad-message", "a message could not be read", { cause: thrown });
          telemetry.log("warn", "child-dropped", { child: hello.name, code: error.code, reason: error.message });
          link.close(error);
        }
      },
      drain: () => this.#ports.children.pump(child),
      close: (end) => {
        this.#open.delete(child);
        this.#waiting.delete(child);
        this.#ports.children.remove(child);
        // One that says why it ends its link goes to another parent; one that says nothing, or that it leaves, is no more.
        if (end.by === "connection" || (end.by === "peer" && (child.leaving || end.error === undefined))) child.departure = "closed";
        this.#ports.ended(child, end.by === "us");
        this.#ports.changed();
      },
    };
  }

  #call(child: Child, kind: number, body: Uint8Array, context: CallContext): Uint8Array | Promise<Uint8Array> {
    const input = decodeJson(body);
    switch (kind) {
      case method.query:
        return this.#ports.query(String(input["verb"]), input["args"]);
      case method.admit: {
        const admit = parseAdmit(input);
        return this.#ports.admit(admit, child).then((session) => {
          // It went while it was being admitted: nobody else would tell the directory.
          if (!this.#open.has(child)) this.#ports.presence({ session, counter: admit.counter, state: "left" }, child);
          else if (admit.token === child.hello.token) {
            child.session = session;
            child.counter = admit.counter;
            this.#ports.present(child);
            this.#ports.changed();
          } else child.below.set(session, admit.counter);
          return encodeJson({ session });
        });
      }
      case method.settle:
        return this.#ports.settle(Number(input["sequence"]), context.signal).then((detached) => encodeJson({ detached }));
      default:
        throw new MusterError("roll/bad-message", `there is no call ${kind}`);
    }
  }

  #message(child: Child, kind: number, body: Uint8Array): void {
    child.aliveAt = this.#ports.ticks();
    switch (kind) {
      case message.alive:
        child.alive = Math.max(child.alive, Number(decodeJson(body)["number"]));
        return;
      case message.change:
        this.#ports.change(parseChangeRequest(decodeJson(body)), child);
        return;
      case message.beat:
        this.#ports.beat(parseBeat(decodeJson(body)), child);
        return;
      case message.pulse:
        this.#ports.pulse(parsePulse(decodeJson(body)), child);
        return;
      case message.attach:
        this.#attach(child, parseAttach(decodeJson(body)));
        return;
      case message.interest:
        this.#ports.children.widen(child, parseRanges(decodeJson(body)["want"]));
        return;
      case message.settled:
        this.#ports.settled(child, Number(decodeJson(body)["id"]));
        return;
      case message.presence:
        this.#presence(child, parsePresence(decodeJson(body)));
        return;
      case message.hostNews:
      case message.routeNews:
        this.#ports.evidence(child, kind, body);
        return;
      case message.leave:
        child.leaving = true;
        return;
      case message.offer:
        this.#ports.offer(child, decodeJson(body));
        return;
      case message.loadBegin:
      case message.loadPart:
      case message.loadEnd:
        this.#ports.adopt(child, kind, body);
        return;
      default:
        // A newer child may say what this node does not know yet.
        return;
    }
  }

  #presence(child: Child, news: Presence): void {
    if (news.state === "attached") child.below.set(news.session, news.counter);
    else if ((child.below.get(news.session) ?? 0) <= news.counter) child.below.delete(news.session);
    this.#ports.presence(news, child);
  }

  #attach(child: Child, attach: Attach): void {
    if (child.following) return;
    const { replica } = this.#ports;
    const answer = this.#ports.answer(child, attach);
    if (answer === undefined) {
      this.#waiting.set(child, attach);
      return;
    }
    if (compareRevision(attach, replica.position) > 0)
      throw new MusterError("roll/parent-behind", "this node is behind the one that attaches", {
        next: "it tries again, or another parent",
      });
    if (answer.path.includes(child.hello.token))
      throw new MusterError("roll/loop", "this node follows the one that attaches", { next: "check the --parent of the relays" });
    child.session = attach.session;
    child.counter = attach.counter;
    const { resumed, begin } = this.#ports.children.follow(child, attach);
    const probing = child.hello.role === "client" ? {} : this.#ports.probing();
    child.link.send(message.attached, encodeJson({ ...answer, ...probing, resumed }));
    if (child.session > 0) this.#ports.present(child);
    begin();
    this.#ports.changed();
  }

  /** What the children waited for is there. */
  reconsider(): void {
    for (const [child, attach] of [...this.#waiting]) {
      this.#waiting.delete(child);
      try {
        this.#attach(child, attach);
      } catch (thrown) {
        child.link.close(thrown instanceof MusterError ? thrown : new MusterError("roll/bad-message", String(thrown)));
      }
    }
  }

  close(reason?: MusterError): void {
    for (const child of [...this.#open]) child.link.close(reason);
  }
}
