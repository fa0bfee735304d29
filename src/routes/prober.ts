import type { Clock, Random, Telemetry } from "../kernel/index.ts";
import type { Datagrams, Endpoint, Transport } from "../transport/index.ts";
import { BeatListener, Beats } from "./beats.ts";
import { ChildWatch } from "./child-watch.ts";
import { Court } from "./court.ts";
import { Errands } from "./errands.ts";
import { metricNames } from "./metrics.ts";
import { type ProbeLimits, type ProbePeriods, probeLimits } from "./options.ts";
import { OwnRoutes } from "./own-routes.ts";
import { OwnTicks, type TickKind } from "./own-ticks.ts";
import { ParentWatch } from "./parent-watch.ts";
import { type Position, Post } from "./post.ts";
import { type Probe, type Verdict, parseProbe, probeName } from "./probe.ts";
import { Relation } from "./relation.ts";
import type { ProbeReports, ProbedChild, ReachRow } from "./reports.ts";
import { ProbeSeal } from "./seal.ts";

export interface ProberOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly datagrams: Datagrams;
  /** With it a dead agent is told from a dead host: its system is knocked at. */
  readonly transport?: Transport;
  readonly telemetry: Telemetry;
  readonly periods: ProbePeriods;
  readonly limits?: Partial<ProbeLimits>;
  readonly self: {
    /** The host's, or one of the node's own that is unique in the fleet. */
    readonly name: string;
    readonly role: string;
    /** Own routes; the index is the number of the route. At most eight. */
    readonly addresses: readonly string[];
    /** Where probes are answered; a parent's is the port of its links. 0: a free one. */
    readonly port: number;
  };
  /** Without one nothing is sent, believed or reported. */
  readonly secret: () => Uint8Array | undefined;
  readonly position: () => Position;
  readonly report: ProbeReports;
}

/** The other end of a pair that this node is one end of. */
type Watch = ParentWatch | ChildWatch;

/**
 * Probes between this node, its parent and its children over every route, and what follows from them. A node sends its parent one
 * message per route and period; the parent's answer is its own sign of life; the parent sends by itself where nothing arrived. Every
 * message is keyed, echoes the receiver's nonce, and says on which routes its sender hears the receiver, so that a route counts only
 * when both directions work. Never throws into its callers.
 */
export class Prober {
  readonly #options: ProberOptions;
  readonly #limits: ProbeLimits;
  readonly #own: OwnRoutes;
  readonly #seal: ProbeSeal;
  readonly #post: Post;
  readonly #ticks: OwnTicks;
  readonly #court: Court;
  readonly #errands: Errands;
  readonly #beats: Beats;
  readonly #listener: BeatListener;
  readonly #byTag = new Map<number, Watch>();
  readonly #byHost = new Map<string, ChildWatch>();
  /** By the name that probes carry. */
  readonly #byName = new Map<string, ChildWatch>();
  #children: readonly ChildWatch[] = [];
  #parent: ParentWatch | undefined;
  /** Those that may still be answered in this tick without being parent or child. */
  #strangersLeft = 0;
  #started = false;
  #closed = false;

  constructor(options: ProberOptions) {
    const { clock, random, datagrams, transport, telemetry, periods, self, report } = options;
    this.#options = options;
    this.#limits = { ...probeLimits, ...options.limits };
    const { routesMax } = this.#limits;
    if (self.addresses.length > routesMax) telemetry.log("warn", "routes-not-probed", { addresses: [...self.addresses], routesMax });
    const addresses = self.addresses.slice(0, routesMax);
    this.#own = new OwnRoutes({ datagrams, telemetry }, { addresses, port: self.port }, (bytes, from, own) =>
      this.#receive(bytes, from, own),
    );
    this.#seal = new ProbeSeal(options.secret);
    const own = this.#own;
    const position = options.position;
    this.#post = new Post(probeName(self.name), { own, seal: this.#seal, position, telemetry });
    const common = { random, periods, limits: this.#limits, own, post: this.#post, transport };
    this.#beats = new Beats(own, this.#post, random);
    this.#listener = new BeatListener({ datagrams, telemetry }, addresses, (bytes, from) => this.#receiveBeat(bytes, from));
    this.#errands = new Errands({ clock, ...common });
    this.#court = new Court({
      ...common,
      telemetry,
      report,
      children: () => this.#children,
      childNamed: (host) => this.#byHost.get(host),
      tick: () => this.#ticks.number,
    });
    this.#ticks = new OwnTicks({
      clock,
      random,
      periods,
      beat: (kind) => this.#beat(kind),
      judge: (kind) => this.#judge(kind),
      late: () => this.#late(),
      hurried: () => this.#parent?.bursting === true || this.#children.some((child) => child.bursting),
    });
    telemetry.gauge(metricNames.watched, () => this.#children.length);
  }

  /** The UDP port of the own routes; 0 before one is bound. */
  get port(): number {
    return this.#own.port;
  }

  /** Binds the own routes and begins. Never rejects: an address that is not there is tried again, and said once. */
  async start(): Promise<void> {
    if (this.#started || this.#closed) return;
    this.#started = true;
    await this.#own.bind();
    if (!this.#closed) this.#ticks.start();
  }

  /** Where the parent answers probes. The same endpoints again change nothing; others begin anew, with nothing heard. */
  setParent(endpoints: readonly Endpoint[] | undefined): void {
    const known = this.#parent;
    if (known !== undefined && endpoints !== undefined && isSameList(known.endpoints, endpoints)) return;
    if (known !== undefined) this.#byTag.delete(known.relation.tag);
    this.#parent = undefined;
    if (endpoints === undefined || endpoints.length === 0 || this.#closed) return;
    const { random, periods, position, report } = this.#options;
    const ports = { own: this.#own, post: this.#post, periods, position, report };
    const parent = new ParentWatch(endpoints.slice(0, this.#limits.routesMax), new Relation(random, periods), ports);
    this.#byTag.set(parent.relation.tag, parent);
    this.#parent = parent;
    void this.#listener.listen(endpoints[0]?.port ?? 0);
    if (this.#started) parent.announce();
  }

  /** The hosts whose agents are attached here, all of them, each time. */
  setChildren(children: readonly ProbedChild[]): void {
    if (this.#closed) return;
    const { telemetry } = this.#options;
    const { childrenMax, routesMax } = this.#limits;
    if (children.length > childrenMax) telemetry.log("warn", "hosts-not-probed", { hosts: children.length, childrenMax });
    const wanted = new Map(children.slice(0, childrenMax).map((child) => [child.host, child]));
    for (const child of this.#children) if (!wanted.has(child.host)) this.#drop(child);
    for (const [host, child] of wanted) {
      const cut = { ...child, addresses: child.addresses.slice(0, routesMax) };
      const known = this.#byHost.get(host);
      if (known === undefined) this.#add(cut);
      else known.attach(cut);
    }
    this.#children = [...this.#byHost.values()];
  }

  /** What the system says of the interface with that address. Down counts at once; up counts when probes are answered again. */
  interface(address: string, up: boolean): void {
    const number = this.#own.setInterface(address, up);
    if (number === undefined || this.#closed) return;
    this.#options.telemetry.log("info", up ? "own-interface-up" : "own-interface-down", { address });
    this.#parent?.interface(number, up, this.#ticks.number);
  }

  /** Every route of every pair that this node is one end of, and what others said when they were asked. */
  table(): ReachRow[] {
    const { clock, self } = this.#options;
    const now = clock.monoMs();
    const parent = this.#parent?.table(self.name, now) ?? [];
    return [...parent, ...this.#children.flatMap((child) => child.table(self.name, now))];
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ticks.close();
    this.#errands.close();
    this.#listener.close();
    this.#own.close();
    this.#byTag.clear();
  }

  #add(child: ProbedChild): void {
    const { random, periods } = this.#options;
    const answersPerTickMax = Math.ceil((this.#limits.answersPerSecondMax * periods.probeMs) / 1000);
    const ports = { own: this.#own, post: this.#post, periods, answersPerTickMax };
    const watch = new ChildWatch(child, new Relation(random, periods), ports);
    this.#byHost.set(watch.host, watch);
    this.#byName.set(watch.name, watch);
    this.#byTag.set(watch.relation.tag, watch);
  }

  #drop(child: ChildWatch): void {
    this.#byHost.delete(child.host);
    this.#byName.delete(child.name);
    this.#byTag.delete(child.relation.tag);
  }

  #beat(kind: TickKind): void {
    const tick = this.#ticks.number;
    if (kind === "burst-tick") {
      this.#parent?.burst();
      for (const child of this.#children) if (child.bursting) child.burst(tick);
      return;
    }
    this.#own.tick(tick);
    this.#strangersLeft = Math.ceil((this.#limits.strangersPerSecondMax * this.#options.periods.probeMs) / 1000);
    if (!this.#seal.ready) return;
    this.#parent?.beat(tick);
    if (this.#children.length > 0) this.#beats.beat(this.#children.some(({ hearsBeats }) => hearsBeats));
    for (const child of this.#children) child.beat(tick);
    this.#court.beat();
  }

  #judge(kind: TickKind): void {
    if (this.#closed) return;
    const tick = this.#ticks.number;
    let hurry = this.#parent?.judge(kind, tick) ?? false;
    for (const child of this.#children) {
      if (kind === "burst-tick" && !child.bursting) continue;
      if (child.judge(kind, tick).includes("burst")) {
        hurry = true;
        this.#court.doubt(child);
      }
    }
    // Only when all are judged: whether many fell silent together is seen then.
    for (const child of this.#children) this.#court.decide(child);
    if (hurry) this.#ticks.hurry();
  }

  #late(): void {
    const tick = this.#ticks.number;
    this.#options.telemetry.count(metricNames.lateTicks);
    this.#parent?.late(tick);
    for (const child of this.#children) child.late(tick);
  }

  #receive(bytes: Uint8Array, from: Endpoint, own: number): void {
    if (this.#closed) return;
    const probe = parseProbe(bytes, this.#seal);
    if (typeof probe === "string") {
      this.#refuse(probe);
      return;
    }
    if (this.#errands.receive(probe)) return;
    const watch = this.#byTag.get(probe.echoTag);
    const mine = watch instanceof ChildWatch && watch.name !== probe.name ? undefined : watch;
    if (mine?.relation.isFresh(probe) !== true) this.#answerUnproven(probe, from, own);
    else if (mine instanceof ChildWatch) this.#fromChild(mine, probe, from, own);
    else this.#fromParent(mine, probe, from, own);
  }

  #receiveBeat(bytes: Uint8Array, from: Endpoint): void {
    const parent = this.#parent;
    // Beats of other parents on this network are none of our business, and not worth a MAC.
    if (this.#closed || parent?.isAt(from) !== true) return;
    const probe = parseProbe(bytes, this.#seal);
    if (typeof probe === "string") this.#refuse(probe);
    else if (probe.kind !== "beat" || !parent.receiveBeat(probe, from, this.#options.clock.monoMs(), this.#ticks.number))
      this.#refuse("stale");
    else this.#options.telemetry.count(metricNames.proven);
  }

  #fromChild(child: ChildWatch, probe: Probe, from: Endpoint, own: number): void {
    const { telemetry, clock, report } = this.#options;
    const path = child.receive(probe, from, own, clock.monoMs(), this.#ticks.number);
    // A verdict that was overtaken on its way is no news of its sender, but a verdict still; told twice, it says nothing new.
    if (probe.kind === "told") this.#told(probe.id, probe.verdict, child);
    if (path === undefined) {
      this.#refuse("replayed");
      return;
    }
    telemetry.count(metricNames.proven);
    if ((probe.kind === "probe" || probe.kind === "burst") && !child.answer(path, probe.kind, own, from)) this.#refuse("limit");
    const { silence } = child;
    child.silence = undefined;
    if (silence === "host") report.hostHeard?.(child.host);
    if (path.ownerDown || probe.down !== 0 || path.out === false) this.#court.decide(child);
  }

  #told(id: number, verdict: Verdict, by: ChildWatch): void {
    const accused = this.#children.find((child) => this.#court.told(child, id, verdict, by.host));
    if (accused !== undefined) this.#court.decide(accused);
  }

  #fromParent(parent: ParentWatch, probe: Probe, from: Endpoint, own: number): void {
    const { telemetry, clock } = this.#options;
    const isNews = parent.receive(probe, from, own, clock.monoMs(), this.#ticks.number);
    const answer = (body: Parameters<Post["send"]>[0]["body"]) =>
      this.#post.send({ body, own, to: from, relation: parent.relation, hears: parent.hears, beats: parent.beats(this.#ticks.number) });
    // Asked twice is answered twice and looked into once, so an overtaken question is as good.
    if (probe.kind === "ask") this.#errands.take(probe, (verdict) => answer({ kind: "told", id: probe.id, verdict }));
    if (!isNews) {
      this.#refuse("replayed");
      return;
    }
    telemetry.count(metricNames.proven);
    if (probe.kind === "probe" || probe.kind === "burst") answer({ kind: "answer" });
  }

  /**
   * Somebody who knows the secret, but shows no nonce of ours that is new enough: a beginning, or a recording. The answer makes it a proof
   * the next time; nothing else follows from it.
   */
  #answerUnproven(probe: Probe, from: Endpoint, own: number): void {
    if (probe.kind !== "probe" && probe.kind !== "burst") {
      this.#refuse("stale");
      return;
    }
    const child = this.#byName.get(probe.name);
    const mayAnswer = child === undefined ? this.#strangersLeft > 0 : child.mayAnswer();
    if (!mayAnswer || probe.tag === 0) {
      this.#refuse("limit");
      return;
    }
    if (child === undefined) this.#strangersLeft--;
    const peer = child ?? (this.#parent?.isAt(from) === true ? this.#parent : undefined);
    const known = peer === undefined ? {} : { relation: peer.relation, hears: peer.hears };
    this.#post.send({ body: { kind: "answer" }, own, to: from, echo: { tag: probe.tag, number: probe.number }, ...known });
  }

  #refuse(reason: "mac" | "malformed" | "stale" | "replayed" | "limit"): void {
    this.#options.telemetry.count(metricNames.refused, 1, { reason });
  }
}

function isSameList(one: readonly Endpoint[], other: readonly Endpoint[]): boolean {
  return one.length === other.length && one.every((endpoint, at) => endpoint.host === other[at]?.host && endpoint.port === other[at]?.port);
}
