import { type Random, type Telemetry, randomBelow } from "../kernel/index.ts";
import type { Transport } from "../transport/index.ts";
import type { ChildPath, ChildWatch } from "./child-watch.ts";
import { knockers } from "./errands.ts";
import { knock } from "./knock.ts";
import { metricNames } from "./metrics.ts";
import type { ProbeLimits, ProbePeriods } from "./options.ts";
import type { OwnRoutes } from "./own-routes.ts";
import type { Post } from "./post.ts";
import type { Verdict } from "./probe.ts";
import type { ProbeReports } from "./reports.ts";
import { type Hearing, hearingOf, judgeHost, judgeRoute } from "./verdict.ts";

export interface CourtPorts {
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly periods: ProbePeriods;
  readonly limits: ProbeLimits;
  readonly own: OwnRoutes;
  readonly post: Post;
  readonly transport: Transport | undefined;
  readonly report: ProbeReports;
  readonly children: () => readonly ChildWatch[];
  readonly childNamed: (host: string) => ChildWatch | undefined;
  readonly tick: () => number;
}

/** How many are asked about one route, and about a host that is silent on all. */
const routeHelpers = 2;
const hostHelpers = 3;
/** Children that are looked at for one helper: in a large fleet most are heard. */
const candidatesMax = 64;
const sendsMax = 3;

/**
 * What becomes of silence: others are asked, while the burst is under way, and then it is a cut route, a fact of this pair, a
 * dead host, a dead agent, our own interface, or nothing that could be said.
 */
export class Court {
  readonly #ports: CourtPorts;
  #nextId: number;
  #open = 0;
  readonly #suspected = new Set<number>();
  #suspectedTick = -1;

  constructor(ports: CourtPorts) {
    this.#ports = ports;
    this.#nextId = randomBelow(ports.random, 0x1_0000_0000);
  }

  /** Once each tick, before anything is judged. */
  beat(): void {
    let open = 0;
    for (const child of this.#ports.children())
      for (const path of child.paths)
        if (path.inquiry !== undefined && this.#isOpen(path)) {
          open++;
          if (this.#ports.tick() - path.inquiry.since < sendsMax) this.#ask(child, path);
        }
    this.#open = open;
  }

  /** A route was missed for as long as it takes to doubt it. */
  doubt(child: ChildWatch): void {
    const helpers = child.lively ? routeHelpers : hostHelpers;
    for (const path of child.paths) {
      if (!path.bursting && path.works) continue;
      // What became of a route that was cut before matters again only when no other is heard.
      if (path.reported === "cut") {
        if (child.lively) continue;
        this.#renew(path, this.#ports.periods.inquiryTicks + 1, this.#ports.tick());
      }
      this.#inquire(child, path, helpers);
    }
    if (!child.lively) this.#knock(child);
  }

  told(child: ChildWatch, id: number, verdict: Verdict, by: string): boolean {
    const path = child.paths.find(({ inquiry }) => inquiry?.id === id);
    if (path?.inquiry === undefined || !path.inquiry.asked.has(by)) return false;
    path.inquiry.asked.set(by, verdict);
    return true;
  }

  /** Judges one host by what is known now. */
  decide(child: ChildWatch): void {
    const { periods } = this.#ports;
    if (!child.everHeard) return;
    for (const path of child.paths) this.#settle(child, path);
    if (child.lively) {
      // What the owner says of itself needs no second route that shows that it is there.
      for (const path of child.paths) if (path.ownerDown || (!path.works && child.steady)) this.#decideRoute(child, path);
    } else if (child.isSilent(periods) && child.silence !== "host") this.#decideHost(child);
  }

  /** A route that works: what had been asked about it is done, and what had been reported is taken back. */
  #settle(child: ChildWatch, path: ChildPath): void {
    if (path.works && !path.ownerDown && !path.bursting) {
      path.inquiry = undefined;
      path.note = undefined;
    }
    if (path.reported === "valid" || path.ownerDown || !path.isProven(this.#ports.periods)) return;
    const why = path.reported === "cut" ? "probes are answered in both directions again" : "probes are answered in both directions";
    path.reported = "valid";
    this.#ports.report.route?.(child.host, path.number, "valid", why);
  }

  #decideRoute(child: ChildWatch, path: ChildPath): void {
    const { periods, tick } = this.#ports;
    if (path.reported === "cut") return;
    const everHeard = path.lastHeardMonoMs !== undefined;
    // It may have come back meanwhile and be on its way through the damping; and what never worked gets the same time to begin.
    const quietMin = everHeard ? periods.missesMax : periods.missesMax + periods.burstProbes;
    if (!path.ownerDown && path.out !== false && path.quiet < quietMin) return;
    this.#renew(path, periods.askAgainTicks, tick());
    const ownSuspected = this.isSuspected(path);
    const verdict = judgeRoute({ ownerDown: path.ownerDown, everHeard, ownSuspected, hearing: this.#hearing(path) });
    switch (verdict) {
      case "ask":
        this.#inquire(child, path, routeHelpers);
        return;
      case "wait":
        return;
      case "cut":
        this.#cut(child, path);
        return;
      case "pair-only":
        this.#note(path, child, ownSuspected ? "own interface suspected" : "this pair only");
        return;
      case "unsure":
        this.#note(path, child, ownSuspected ? "own interface suspected" : "nobody could be asked");
        return;
    }
  }

  #cut(child: ChildWatch, path: ChildPath): void {
    const { telemetry, report } = this.#ports;
    const silent = this.#hearing(path)?.silent ?? 0;
    const why = path.ownerDown
      ? `${child.host} says that the interface of ${path.address} is down`
      : `${path.out === false ? `${child.host} hears nothing` : "nothing is heard"} on ${path.address}; ${silent} other hosts say so too`;
    path.reported = "cut";
    path.note = path.ownerDown ? "its interface is down" : undefined;
    telemetry.count(metricNames.routesCut);
    telemetry.log("warn", "route-cut", { host: child.host, route: path.number, address: path.address, why });
    report.route?.(child.host, path.number, "cut", why);
    this.#keepOne(child, path);
  }

  /** The damping of a route that was cut is for hosts that have a better one: where no other is left, it counts at once. */
  #keepOne(child: ChildWatch, lost: ChildPath): void {
    const { periods, report, telemetry, tick } = this.#ports;
    if (child.paths.some((path) => path.reported === "valid")) return;
    const left = child.paths.find((path) => path !== lost && !path.ownerDown && path.out !== false && path.quiet === 0);
    if (left === undefined) return;
    const why = "it is the only route that is answered";
    left.revive(tick(), periods);
    left.reported = "valid";
    telemetry.log("info", "route-revived", { host: child.host, route: left.number, address: left.address, why });
    report.route?.(child.host, left.number, "valid", why);
  }

  #decideHost(child: ChildWatch): void {
    const { periods, tick, telemetry, report } = this.#ports;
    const paths = child.paths.filter((path) => path.lastHeardMonoMs !== undefined || child.endpointOf(path) !== undefined);
    for (const path of paths) if (this.#renew(path, periods.askAgainTicks, tick())) child.systemAnswers = undefined;
    const hearings = paths.map((path) => this.#hearing(path));
    if (child.systemAnswers === undefined) this.#knock(child);
    const systemAnswersUs = child.systemAnswers === "waiting" ? undefined : child.systemAnswers === true;
    const confirmed = this.#confirmed(paths);
    const verdict = judgeHost({ hearings, confirmed, systemAnswersUs });
    switch (verdict) {
      case "ask":
        for (const path of paths) if (path.inquiry === undefined) this.#inquire(child, path, hostHelpers);
        return;
      case "wait":
        return;
      case "silent": {
        child.silence = "host";
        const why = `silent on all ${child.paths.length} routes; ${confirmed} other hosts say so too`;
        telemetry.log("warn", "host-silent", { host: child.host, why });
        report.hostSilent?.(child.host, child.attachment, why);
        return;
      }
      case "agent-silent": {
        if (child.silence === "agent") return;
        child.silence = "agent";
        // Said to people alone: what follows from a dead agent follows from its link.
        telemetry.log("warn", "agent-silent", { host: child.host, why: "its agent answers no probes, but the host's system answers" });
        return;
      }
      case "pair-only":
      case "unsure":
        for (const path of paths) this.#note(path, child, verdict === "unsure" ? "nobody could be asked" : "this pair only");
        return;
    }
  }

  /** Whether more than half of the routes that are heard by the same own route have fallen silent together. */
  isSuspected(path: ChildPath): boolean {
    const { own, children, telemetry, tick } = this.#ports;
    const via = path.via;
    if (via === undefined) return false;
    if (!own.isUp(via)) return true;
    if (this.#suspectedTick !== tick()) {
      this.#suspectedTick = tick();
      for (let number = 0; number < own.count; number++) {
        const { silent, all } = silenceBy(number, children());
        const suspected = silent >= 2 && 2 * silent > all;
        if (suspected && !this.#suspected.has(number))
          telemetry.log("warn", "own-interface-suspected", { address: own.address(number), silent, of: all });
        if (suspected) this.#suspected.add(number);
        else this.#suspected.delete(number);
      }
    }
    return this.#suspected.has(via);
  }

  #note(path: ChildPath, child: ChildWatch, note: string): void {
    if (path.note !== note) this.#ports.telemetry.log("info", "route-doubted", { host: child.host, route: path.number, note });
    path.note = note;
  }

  /** Asks again after a while: what was a fact of this pair may have become one of all. */
  #renew(path: ChildPath, afterTicks: number, tick: number): boolean {
    if (path.inquiry === undefined || tick - path.inquiry.since < afterTicks) return false;
    path.inquiry = undefined;
    return true;
  }

  #isOpen(path: ChildPath): boolean {
    const { inquiry } = path;
    if (inquiry === undefined || this.#ports.tick() - inquiry.since > this.#ports.periods.inquiryTicks) return false;
    return [...inquiry.asked.values()].includes(undefined);
  }

  #hearing(path: ChildPath): Hearing | undefined {
    if (path.inquiry === undefined) return undefined;
    const verdicts = [...path.inquiry.asked.values()].filter((verdict) => verdict !== undefined);
    return hearingOf(path.inquiry.asked.size, verdicts, this.#isOpen(path));
  }

  /** How many call every address silent that they were asked about, and were asked about all. */
  #confirmed(paths: readonly ChildPath[]): number {
    const first = paths[0]?.inquiry?.asked;
    if (first === undefined) return 0;
    return [...first.keys()].filter((name) => paths.every((path) => path.inquiry?.asked.get(name) === "silent")).length;
  }

  #inquire(child: ChildWatch, path: ChildPath, helpers: number): void {
    const { limits, periods, telemetry, tick } = this.#ports;
    if (path.inquiry === undefined) {
      if (this.#open >= limits.inquiriesMax || child.endpointOf(path) === undefined) return;
      this.#open++;
      this.#nextId = (this.#nextId + 1) >>> 0;
      path.inquiry = { id: this.#nextId, asked: new Map(), since: tick() };
      telemetry.count(metricNames.inquiries);
    }
    const { asked, since } = path.inquiry;
    if (asked.size >= helpers || tick() - since > periods.inquiryTicks) return;
    // The same few for all routes of a host, so that one of them can say that all are silent.
    const others = child.paths.flatMap((other) => [...(other.inquiry?.asked.keys() ?? [])]);
    for (const name of new Set([...others, ...this.#helpersFor(child, helpers)]))
      if (asked.size < helpers && !asked.has(name)) asked.set(name, undefined);
    this.#ask(child, path);
  }

  #helpersFor(child: ChildWatch, count: number): string[] {
    const children = this.#ports.children();
    const start = randomBelow(this.#ports.random, Math.max(1, children.length));
    const lively: string[] = [];
    /** A packet of theirs was lost a moment ago, which is no reason to ask nobody. */
    const others: string[] = [];
    for (let at = 0; at < Math.min(children.length, candidatesMax) && lively.length < count; at++) {
      const other = children[(start + at) % children.length];
      if (other === undefined || other === child) continue;
      if (other.lively) lively.push(other.host);
      else if (other.works) others.push(other.host);
    }
    return [...lively, ...others].slice(0, count);
  }

  #ask(child: ChildWatch, path: ChildPath): void {
    const { inquiry } = path;
    const target = child.endpointOf(path);
    if (inquiry === undefined || target === undefined) return;
    for (const [name, verdict] of inquiry.asked) {
      const other = verdict === undefined ? this.#ports.childNamed(name) : undefined;
      if (other === undefined) continue;
      const usable = other.paths.filter((one) => one.works && !one.ownerDown && one.via !== undefined);
      const by = usable.find((one) => one.lively) ?? usable[0];
      const to = by === undefined ? undefined : other.endpointOf(by);
      if (by?.via === undefined || to === undefined) continue;
      const body = { kind: "ask", id: inquiry.id, target: child.digest, address: target.host, port: target.port } as const;
      this.#ports.post.send({ body, own: by.via, to, relation: other.relation, hears: other.hears });
    }
  }

  #knock(child: ChildWatch): void {
    const { transport, own, periods } = this.#ports;
    if (child.systemAnswers !== undefined) return;
    if (transport === undefined) {
      child.systemAnswers = false;
      return;
    }
    child.systemAnswers = "waiting";
    const targets = child.paths.map((path) => child.endpointOf(path)).filter((endpoint) => endpoint !== undefined);
    const tries = targets.map((to) => knock(transport, knockers(own, to.host), to, periods.burstProbes * periods.burstMs));
    void Promise.all(tries).then((answers) => {
      // Heard meanwhile: then nobody asks any more.
      if (child.systemAnswers === "waiting") child.systemAnswers = answers.includes(true);
    });
  }
}

/** Routes heard by that own route, without those that are known to be cut, and how many of them are silent now. */
function silenceBy(own: number, children: readonly ChildWatch[]): { readonly silent: number; readonly all: number } {
  let silent = 0;
  let all = 0;
  for (const child of children)
    for (const path of child.paths) {
      if (path.via !== own || path.reported === "cut" || path.ownerDown) continue;
      all++;
      if (path.quiet >= 2) silent++;
    }
  return { silent, all };
}
