import type { Endpoint } from "../transport/index.ts";
import type { OwnRoutes } from "./own-routes.ts";
import type { ProbePeriods } from "./options.ts";
import { nearest } from "./nearness.ts";
import { Path, sameFamily } from "./path.ts";
import type { Position, Post } from "./post.ts";
import type { Probe } from "./probe.ts";
import type { Relation } from "./relation.ts";
import type { ProbeReports, ReachRow } from "./reports.ts";

/** Own route `number` towards the parent; `via` is the index of the parent's endpoint that answers on it. */
class UpPath extends Path {
  via: number | undefined;
  beatNumber = 0;
  beatTick = Number.NEGATIVE_INFINITY;
}

/** A beat's number may be so far from the one that was vouched for, less the ticks since; and so long ago counts as heard. */
const beatSlack = 3;

export interface ParentPorts {
  readonly own: OwnRoutes;
  readonly post: Post;
  readonly periods: ProbePeriods;
  readonly position: () => Position;
  readonly report: ProbeReports;
}

/** A child's view of its parent: probes leave on every own route, bound to its address, each period. */
export class ParentWatch {
  readonly endpoints: readonly Endpoint[];
  readonly relation: Relation;
  readonly #ports: ParentPorts;
  readonly #paths: readonly UpPath[];
  #name: string | undefined;
  /** Own routes over which the parent is reached. */
  readonly #working = new Set<number>();
  /** Whether the parent answered us like anybody. */
  #strange = false;
  #heard = false;
  #tick = 0;
  #vouched: { readonly number: number; readonly tick: number } | undefined;
  #ahead: Position | undefined;
  #told: Position | undefined;

  constructor(endpoints: readonly Endpoint[], relation: Relation, ports: ParentPorts) {
    this.endpoints = endpoints;
    this.relation = relation;
    this.#ports = ports;
    this.#paths = Array.from({ length: ports.own.count }, (_, number) => new UpPath(number));
  }

  get bursting(): boolean {
    return this.#paths.some((path) => path.bursting);
  }

  beat(tick: number): void {
    this.#tick = tick;
    this.relation.tick();
    for (const path of this.#paths) if (path.shouldProbe(tick)) this.#probe(path, tick);
  }

  burst(): void {
    for (const path of this.#paths)
      if (path.bursting)
        // A way to another address of the parent may work still: then the route is not cut.
        for (const to of this.#reachable(path.number)) this.#send(path, "burst", to);
  }

  /** Whether the parent answers there. */
  isAt(from: Endpoint): boolean {
    return this.#indexOf(from) >= 0;
  }

  /** A fresh message; returns whether it is news on the route by which it came. */
  receive(probe: Probe, from: Endpoint, own: number, monoMs: number, tick: number): boolean {
    const path = this.#paths[own];
    if (path === undefined || !this.relation.isNews(probe, path)) return false;
    this.#name = probe.name;
    const via = this.#indexOf(from);
    if (via >= 0) path.via = via;
    path.hear(monoMs);
    if (probe.beat > 0) this.#vouched = { number: probe.beat, tick };
    // A stranger's answer knows nothing but that it got this one.
    if (probe.tag === 0) path.out = true;
    // Now it knows us as its child, and begins anew: that it has not heard much yet is no loss.
    else if (this.#strange) for (const one of this.#paths) one.out = undefined;
    this.#strange = probe.tag === 0;
    if (!this.#strange && this.relation.isNewest(probe)) for (const one of this.#paths) one.readOut(probe.hears);
    this.relation.remember(probe);
    this.#compare(probe);
    return true;
  }

  /**
   * A beat that came by multicast. It counts if it can only be from the last moments, by what a fresh message said, and if it is
   * clear on which own route it came: the sender's address is the one that answers there, and nowhere else.
   */
  receiveBeat(probe: Probe, from: Endpoint, monoMs: number, tick: number): boolean {
    const vouched = this.#vouched;
    if (vouched === undefined || probe.name !== this.#name || tick - vouched.tick > this.#ports.periods.echoTicks) return false;
    const early = probe.number - (vouched.number + tick - vouched.tick);
    const paths = this.#paths.filter(({ via }) => via !== undefined && this.endpoints[via]?.host === from.host);
    const [path] = paths;
    if (path === undefined || paths.length > 1 || Math.abs(early) > beatSlack || probe.number <= path.beatNumber) return false;
    path.beatNumber = probe.number;
    path.beatTick = tick;
    path.hear(monoMs);
    this.#compare(probe);
    return true;
  }

  /** One bit for each own route on which beats are heard. */
  beats(tick: number): number {
    let bits = 0;
    for (const path of this.#paths) if (tick - path.beatTick <= beatSlack) bits |= 1 << path.number;
    return bits;
  }

  /** One bit for each own route on which the parent is heard. */
  get hears(): number {
    let bits = 0;
    for (const path of this.#paths) if (path.hears(this.#ports.periods) && this.#ports.own.isUp(path.number)) bits |= 1 << path.number;
    return bits;
  }

  /** Returns whether a burst begins. */
  judge(kind: "tick" | "burst-tick", tick: number): boolean {
    const { periods } = this.#ports;
    const before = this.hears;
    let hurry = false;
    for (const path of this.#paths) {
      const effect = kind === "tick" ? path.tick(tick, periods) : path.burstTick(tick, periods);
      if (effect === "burst") hurry = true;
    }
    // What we hear is said at once over all routes, not with the next period.
    if (this.hears !== before) this.announce();
    this.#judgeAll();
    if (kind === "tick") this.#judgePosition();
    return hurry;
  }

  late(tick: number): void {
    this.relation.forget();
    this.#vouched = undefined;
    for (const path of this.#paths) {
      path.late(tick, this.#ports.periods);
      // The parent heard nothing of us either, and will say so in good faith.
      path.out = undefined;
    }
    this.#ahead = undefined;
  }

  interface(number: number, up: boolean, tick: number): void {
    if (!up) this.#paths[number]?.apply({ kind: "down" }, tick, this.#ports.periods);
    this.announce();
    this.#judgeAll();
  }

  announce(): void {
    for (const path of this.#paths) this.#probe(path, 0);
  }

  table(self: string, monoMs: number): ReachRow[] {
    const parent = this.#name ?? "parent";
    return this.#paths.flatMap((path) => {
      const address = this.#ports.own.address(path.number);
      const note = this.#ports.own.isUp(path.number) ? {} : { note: "own interface down" };
      const common = { route: path.number, address, lossPercent: Math.round(path.loss * 100), ...note };
      const lastHeardMs = path.lastHeardMonoMs === undefined ? undefined : monoMs - path.lastHeardMonoMs;
      return [
        { from: parent, to: self, direction: "in" as const, state: path.state, lastHeardMs, ...common },
        { from: self, to: parent, direction: "out" as const, state: path.outState, lastHeardMs: undefined, ...common, lossPercent: 0 },
      ];
    });
  }

  #indexOf(from: Endpoint): number {
    return this.endpoints.findIndex((endpoint) => endpoint.host === from.host && endpoint.port === from.port);
  }

  #probe(path: UpPath, tick: number): void {
    const reachable = this.#reachable(path.number);
    const known = path.via === undefined ? undefined : this.endpoints[path.via];
    // While nothing is known, or the usual way is cut, the parent's addresses are tried in turn, the one of our number first.
    const turn = known === undefined || path.isLost ? tick : 0;
    const to = turn === 0 ? (known ?? reachable[0]) : reachable[turn % reachable.length];
    if (to !== undefined) this.#send(path, "probe", to);
  }

  /** The parent's endpoints on the network of that own route, the one of its number first. */
  #reachable(own: number): readonly Endpoint[] {
    const address = this.#ports.own.address(own);
    const able = this.endpoints.filter((endpoint) => sameFamily(endpoint.host, address));
    const near = nearest(address, able, ({ host }) => host);
    const first = this.endpoints[own];
    return first === undefined || !near.includes(first) ? near : [first, ...near.filter((endpoint) => endpoint !== first)];
  }

  #send(path: UpPath, kind: "probe" | "burst", to: Endpoint): void {
    this.#ports.post.send({
      body: { kind },
      own: path.number,
      to,
      relation: this.relation,
      hears: this.hears,
      beats: this.beats(this.#tick),
    });
  }

  #judgeAll(): void {
    const { report, own, periods } = this.#ports;
    const usable = this.#paths.filter((path) => own.isUp(path.number));
    const works = usable.some((path) => path.works);
    const steady = usable.some((path) => path.steady);
    for (const path of this.#paths) {
      const up = own.isUp(path.number);
      if (up && path.works) this.#working.add(path.number);
      // A parent that was away for a moment has not lost one route: another one must have been there all along.
      else if ((up ? steady && path.isDown(periods) : works) && this.#working.delete(path.number))
        report.parentRouteCut?.(own.address(path.number));
    }
    if (!works) this.#working.clear();
    if (works === this.#heard) return;
    this.#heard = works;
    if (works) report.parentHeard?.();
    else report.parentUnheard?.();
  }

  /** Remembers the first position that was ahead of ours, until we are there. */
  #compare(probe: Probe): void {
    const { epoch, sequence } = this.#ports.position();
    if (probe.epoch > epoch || (probe.epoch === epoch && probe.sequence > sequence))
      this.#next = { epoch: probe.epoch, sequence: probe.sequence };
  }

  #next: Position | undefined;

  #judgePosition(): void {
    const ahead = this.#ahead;
    this.#ahead = this.#next;
    this.#next = undefined;
    if (ahead === undefined) return;
    const { epoch, sequence } = this.#ports.position();
    const still = ahead.epoch > epoch || (ahead.epoch === epoch && ahead.sequence > sequence);
    const told = this.#told;
    if (!still || (told?.epoch === ahead.epoch && told.sequence === ahead.sequence)) return;
    this.#told = ahead;
    this.#ports.report.positionAhead?.(ahead.epoch, ahead.sequence);
  }
}
