import type { Endpoint } from "../transport/index.ts";
import type { OwnRoutes } from "./own-routes.ts";
import type { ProbePeriods } from "./options.ts";
import { Path } from "./path.ts";
import type { Post } from "./post.ts";
import { type Probe, type Verdict, nameDigest, probeName } from "./probe.ts";
import { type ReachEffect, isHeard } from "./reach.ts";
import type { Relation } from "./relation.ts";
import type { Attachment, ProbedChild, ReachRow } from "./reports.ts";

/** A question to others about one silent address. */
export interface Inquiry {
  readonly id: number;
  /** Whom we asked, and what they said. */
  readonly asked: Map<string, Verdict | undefined>;
  /** The tick of the question. */
  readonly since: number;
}

/** One route of a child. */
export class ChildPath extends Path {
  readonly address: string;
  /** Where the child's socket is, as its own proven messages showed. */
  port: number | undefined;
  /** The own route that it was last heard by. */
  via: number | undefined;
  ownerDown = false;
  /** It hears our beats there. */
  beats = false;
  /** Its last probe was not answered, because it hears our beats. */
  skipped = false;
  reported: "valid" | "cut" | undefined;
  inquiry: Inquiry | undefined;
  note: string | undefined;

  constructor(number: number, address: string) {
    super(number);
    this.address = address;
  }
}

export interface ChildPorts {
  readonly own: OwnRoutes;
  readonly post: Post;
  readonly periods: ProbePeriods;
  readonly answersPerTickMax: number;
}

/** A parent's view of one host: each of its routes, what the host itself says of them, and where it answers. */
export class ChildWatch {
  readonly host: string;
  /** As probes carry it. */
  readonly name: string;
  readonly digest: number;
  readonly relation: Relation;
  paths: readonly ChildPath[];
  attachment: Attachment;
  /** What has been reported of the whole host. */
  silence: "host" | "agent" | undefined;
  /** What came of knocking at its system since it fell silent; undefined: not tried. */
  systemAnswers: boolean | "waiting" | undefined;
  /** Nobody is accused who was never heard: an agent without the secret, or behind a filter, is not probed at all. */
  everHeard = false;
  #answersLeft: number;
  readonly #ports: ChildPorts;

  constructor(child: ProbedChild, relation: Relation, ports: ChildPorts) {
    this.host = child.host;
    this.name = probeName(child.host);
    this.digest = nameDigest(this.name);
    this.relation = relation;
    this.#ports = ports;
    this.#answersLeft = ports.answersPerTickMax;
    this.attachment = { session: child.session, counter: child.counter };
    this.paths = child.addresses.map((address, number) => new ChildPath(number, address));
  }

  /** Takes over a newer attachment, and addresses that have changed. */
  attach(child: ProbedChild): void {
    if (child.session !== this.attachment.session || child.counter !== this.attachment.counter) {
      this.attachment = { session: child.session, counter: child.counter };
      this.silence = undefined;
    }
    this.paths = child.addresses.map((address, number) => {
      const path = this.paths[number];
      return path?.address === address ? path : new ChildPath(number, address);
    });
  }

  get bursting(): boolean {
    return this.paths.some((path) => path.bursting);
  }

  /** Some route works and brought news in the last tick. */
  get lively(): boolean {
    return this.paths.some((path) => path.lively && !path.ownerDown);
  }

  /** Some route has shown for longer than a moment that the host itself is there. */
  get steady(): boolean {
    return this.paths.some((path) => path.steady && !path.ownerDown);
  }

  get works(): boolean {
    return this.paths.some((path) => path.works && !path.ownerDown);
  }

  get hearsBeats(): boolean {
    return this.paths.some((path) => path.beats);
  }

  /** Nothing proven for as long as it takes to decide, on any route. */
  isSilent(periods: ProbePeriods): boolean {
    return this.paths.every((path) => !isHeard(path.reach) && path.quiet >= periods.missesMax);
  }

  /** One bit for each of its routes on which we hear it. */
  get hears(): number {
    let bits = 0;
    for (const path of this.paths) if (path.hears(this.#ports.periods)) bits |= 1 << path.number;
    return bits;
  }

  /** Where it could be looked for on that route: every socket of a host has the same port as a rule. */
  endpointOf(path: ChildPath): Endpoint | undefined {
    const port = path.port ?? this.paths.find((other) => other.port !== undefined)?.port;
    return port === undefined ? undefined : { host: path.address, port };
  }

  /** The child sets the pace: our answers are its heartbeats. What was not answered in a period is probed from here. */
  beat(tick: number): void {
    this.relation.tick();
    this.#answersLeft = this.#ports.answersPerTickMax;
    if (!this.everHeard) return;
    for (const path of this.paths) {
      if (!path.sent && path.shouldProbe(tick)) this.#probe(path, "probe", tick);
      path.sent = false;
    }
  }

  burst(tick: number): void {
    for (const path of this.paths) if (path.bursting) this.#probe(path, "burst", tick);
  }

  /** Says at once, on every route, what we hear. */
  announce(): void {
    for (const path of this.paths) this.#probe(path, "probe", 0);
  }

  /** A fresh message; returns the path on which it is news. */
  receive(probe: Probe, from: Endpoint, own: number, monoMs: number, tick: number): ChildPath | undefined {
    const path = this.paths[probe.route];
    if (path === undefined || !this.relation.isNews(probe, path)) return undefined;
    this.everHeard = true;
    this.systemAnswers = undefined;
    path.via = own;
    path.port = from.port;
    path.hear(monoMs);
    if (probe.tag === 0) path.out = true;
    else if (this.relation.isNewest(probe)) this.#readMaps(probe, tick);
    this.relation.remember(probe);
    return path;
  }

  /** Answers a fresh probe; where beats are heard every other answer is spared, but never the one that a burst asks for. */
  answer(path: ChildPath, kind: "probe" | "burst", own: number, to: Endpoint): boolean {
    if (kind === "probe" && path.beats && !path.skipped) {
      path.skipped = true;
      path.sent = true;
      return true;
    }
    path.skipped = false;
    if (!this.mayAnswer()) return false;
    path.sent = true;
    this.#ports.post.send({ body: { kind: "answer" }, own, to, relation: this.relation, hears: this.hears });
    return true;
  }

  /** Takes one of this tick's answers. */
  mayAnswer(): boolean {
    this.#answersLeft--;
    return this.#answersLeft >= 0;
  }

  judge(kind: "tick" | "burst-tick", tick: number): ReachEffect[] {
    if (!this.everHeard) return [];
    const { periods } = this.#ports;
    const before = this.hears;
    const effects: ReachEffect[] = [];
    for (const path of this.paths) {
      const effect = kind === "tick" ? path.tick(tick, periods, path.out !== false && !path.ownerDown) : path.burstTick(tick, periods);
      if (effect !== undefined) effects.push(effect);
    }
    if (this.hears !== before) this.announce();
    return effects;
  }

  late(tick: number): void {
    this.relation.forget();
    this.systemAnswers = undefined;
    for (const path of this.paths) {
      path.late(tick, this.#ports.periods);
      path.inquiry = undefined;
      path.quiet = 0;
      // They heard nothing of us either, and will say so in good faith.
      path.out = undefined;
    }
  }

  table(self: string, monoMs: number): ReachRow[] {
    return this.paths.flatMap((path) => {
      const note = path.note === undefined ? {} : { note: path.note };
      const common = { route: path.number, address: path.address, ...note };
      const lastHeardMs = path.lastHeardMonoMs === undefined ? undefined : monoMs - path.lastHeardMonoMs;
      const loss = Math.round(path.loss * 100);
      const looked = [...(path.inquiry?.asked ?? [])].flatMap(([from, verdict]) => (verdict === undefined ? [] : [{ from, verdict }]));
      return [
        { from: this.host, to: self, direction: "in" as const, state: path.state, lastHeardMs, lossPercent: loss, ...common },
        { from: self, to: this.host, direction: "out" as const, state: path.outState, lastHeardMs: undefined, lossPercent: 0, ...common },
        ...looked.map(({ from, verdict }) => ({
          from,
          to: this.host,
          direction: "out" as const,
          state: verdict === "silent" ? ("cut" as const) : ("heard" as const),
          lastHeardMs: undefined,
          lossPercent: 0,
          ...common,
          note: verdict === "system-lives" ? "its system answers" : "asked to look",
        })),
      ];
    });
  }

  /** The child has waited its own window before it said that it hears nothing: no second one is added here. */
  #readMaps(probe: Probe, tick: number): void {
    for (const path of this.paths) {
      const worked = path.out !== false && !path.ownerDown;
      path.ownerDown = (probe.down & (1 << path.number)) !== 0;
      path.readOut(probe.hears);
      path.beats = (probe.beats & (1 << path.number)) !== 0;
      if (worked && (path.out === false || path.ownerDown)) path.apply({ kind: "down" }, tick, this.#ports.periods);
    }
  }

  #probe(path: ChildPath, kind: "probe" | "burst", tick: number): void {
    const to = this.endpointOf(path);
    if (to === undefined) return;
    const able = this.#ports.own.towards(path.address, path.via ?? path.number);
    // A route that is silent is tried from each own address in turn.
    const own = path.isLost ? able[tick % Math.max(1, able.length)] : able[0];
    if (own === undefined) return;
    this.#ports.post.send({ body: { kind }, own, to, relation: this.relation, hears: this.hears });
  }
}
