import { MusterError, type Timer, jitter } from "../kernel/index.ts";
import type { CompleteRoute, FindOptions } from "../find/index.ts";
import type { Target } from "./addresses.ts";
import { Arrival } from "./arrival.ts";
import type { Body } from "./body.ts";
import { chooseServer, isKnown, placeOf } from "./choice.ts";
import type { Desk } from "./desk.ts";
import type { Verdict, Watched } from "./failure-watch.ts";
import { failureOf } from "./failures.ts";
import { metrics } from "./metrics.ts";
import { parseRetryAfterMs } from "./retry-after.ts";

export interface CoursePlan {
  readonly target: Target;
  /** Running it in vain changes nothing. */
  readonly safe: boolean;
  /** Running it twice is harmless. */
  readonly repeatable: boolean;
  readonly deadlineMs: number;
  readonly find: FindOptions | undefined;
  readonly body: Body;
  readonly ended: () => void;
}

/** One request to one server, until its answer is complete or it has failed. */
export interface Attempt extends Watched {
  readonly route: CompleteRoute;
  readonly origin: string;
  readonly path: string;
}

/** Why an attempt was ended from outside of its connection. */
type Cut =
  | { readonly by: "caller"; readonly reason: unknown }
  | { readonly by: "deadline" }
  | { readonly by: "roll"; readonly verdict: Verdict };

/** A server that refused is passed over for a second by this program; one whose connection ended may just have closed an idle one. */
const avoidUnsentMs = 1000;
const avoidBrokenMs = 300;
const pauseMsMin = 10;
const pauseMsMax = 500;
/** A request that was sent so long ago has arrived, or its connection is not coming about. */
const arrivalMsMax = 1000;

/**
 * One request over all of its attempts, with one deadline. The client sends, and says how it went; what follows is decided
 * here: who is asked next, when, or with which error it ends. Each method throws the error that ends the request.
 */
export class Course {
  readonly #desk: Desk;
  readonly #plan: CoursePlan;
  readonly #deadlineMonoMs: number;
  readonly #deadline: Timer;
  /** Servers that asked this request to come back later. */
  readonly #notBefore = new Map<string, number>();
  #attempt: Watched | undefined;
  #arrival: Arrival | undefined;
  #cutAttempt: ((reason: unknown) => void) | undefined;
  #cut: Cut | undefined;
  /** Where the present attempt was sent on to by an answer: to its own server, or to a place that the roll does not answer for. */
  #redirected: "no" | "here" | "away" = "no";
  #answered = false;
  #attempts = 0;
  /** Re-sends after something may have been sent. */
  #resent = 0;
  #pauses = 0;
  /** An attempt that is over may have had an effect. */
  #maybe = false;
  #lastFailure: { readonly why: string; readonly cause: unknown } | undefined;
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(desk: Desk, plan: CoursePlan) {
    this.#desk = desk;
    this.#plan = plan;
    this.#deadlineMonoMs = desk.clock.monoMs() + plan.deadlineMs;
    this.#deadline = desk.clock.schedule(plan.deadlineMs, () => {
      if (!this.#answered) this.#cutWith({ by: "deadline" });
    });
  }

  /** The caller does not want the answer any more. */
  abort(reason: unknown): void {
    this.#cutWith({ by: "caller", reason });
  }

  /** The next server to ask, as soon as there is one. */
  async route(): Promise<CompleteRoute> {
    try {
      return await this.#route();
    } catch (thrown) {
      // What a lookup cannot know: an attempt before it may have had an effect.
      if (!(thrown instanceof MusterError) || thrown.effect !== "none" || !this.#maybe) throw thrown;
      const { code, message, next, cause = thrown } = thrown;
      throw new MusterError(code, message, { effect: "maybe", cause, ...(next === undefined ? {} : { next }) });
    }
  }

  async #route(): Promise<CompleteRoute> {
    const desk = this.#desk;
    const { fleet, clock, settings } = desk;
    const { target, find } = this.#plan;
    const mayNow = (route: CompleteRoute) => (this.#notBefore.get(placeOf(route)) ?? 0) <= clock.monoMs();
    const giveUpMonoMs = clock.monoMs() + settings.waitForServerMs;
    const pausedMonoMs = clock.monoMs() + this.#pauseMs();
    for (;;) {
      this.#check();
      const { named, fit } = chooseServer(fleet, target, find, (route) => !desk.isAvoided(route) && mayNow(route));
      if (fit !== undefined) return fit;
      const nowMonoMs = clock.monoMs();
      if (named === undefined) {
        if (giveUpMonoMs <= nowMonoMs || (this.#attempts === 0 && !isKnown(fleet, target))) throw this.#noServer();
        await this.#change(giveUpMonoMs - nowMonoMs);
      } else if (pausedMonoMs > nowMonoMs) await this.#change(pausedMonoMs - nowMonoMs);
      else {
        // All are avoided. Better one that failed a moment ago than none, unless it asked for time.
        const any = chooseServer(fleet, target, find, mayNow).fit;
        if (any !== undefined) return any;
        await this.#change(this.#untilAllowedMs());
      }
    }
  }

  /** Begins an attempt; `cut` ends it from outside, and the client then reports its failure like any other. */
  attempt(route: CompleteRoute, cut: (reason: unknown) => void): Attempt {
    const { target } = this.#plan;
    const desk = this.#desk;
    this.#attempts++;
    const host = route.address.includes(":") ? `[${route.address}]` : route.address;
    const arrival = new Arrival();
    const oldMonoMs = desk.clock.monoMs() + arrivalMsMax;
    const attempt: Attempt = {
      table: target.table,
      route,
      origin: `http://${host}:${route.port}`,
      path: target.path,
      accused: (verdict) => this.#accused(route, verdict),
      get arriving() {
        return desk.clock.monoMs() < oldMonoMs ? arrival.expected : undefined;
      },
    };
    this.#attempt = attempt;
    this.#redirected = "no";
    this.#arrival = arrival;
    this.#cutAttempt = cut;
    this.#desk.watch.add(attempt);
    // The caller or the clock may have spoken since the server was chosen.
    if (this.#cut !== undefined) cut(reasonOf(this.#cut));
    return attempt;
  }

  /** True when the server has asked for patience and the request goes on elsewhere or later; else its answer is the answer. */
  postponed({ route }: Attempt, status: number, retryAfter: string | null | undefined): boolean {
    // Another place may ask for patience too, but it is the caller who was sent there.
    if ((status !== 503 && status !== 429) || this.#redirected === "away") return false;
    const { clock, patience, budget, settings } = this.#desk;
    const waitMs = parseRetryAfterMs(retryAfter, clock.unixMs());
    if (waitMs === undefined) return false;
    const untilMonoMs = clock.monoMs() + waitMs;
    patience.ask(placeOf(route), route.revision, waitMs);
    const { repeatable, body, safe } = this.#plan;
    if (!repeatable || !body.canRepeat(false) || this.#attempts >= settings.attemptsMax) return false;
    this.#notBefore.set(placeOf(route), untilMonoMs);
    const other = this.#other((one) => !this.#notBefore.has(placeOf(one)));
    if ((other === undefined && untilMonoMs >= this.#deadlineMonoMs) || !budget.take()) return false;
    // It says that it is busy, and not how far it has come.
    if (!safe) this.#maybe = true;
    this.#over();
    this.#resend("postponed");
    return true;
  }

  /** The answer sends the request on, which the client follows. `here`: to another path of the same server. */
  redirected(attempt: Attempt, here: boolean): void {
    this.#arrival?.tell();
    this.#desk.reached(attempt.route);
    if (here && this.#redirected === "no" && this.#plan.repeatable) this.#redirected = "here";
    else if (this.#redirected !== "away" && !(here && this.#redirected === "here")) {
      this.#redirected = "away";
      // The roll's word ends it no more; the deadline and the caller still do.
      this.#desk.watch.remove(attempt);
    }
  }

  /** The head of the answer is there: it is this one. From now on only a lost path or the caller ends it. */
  answered({ route }: Attempt): void {
    this.#answered = true;
    this.#arrival?.tell();
    this.#deadline.cancel();
    this.#desk.reached(route);
    this.#desk.settings.telemetry.count(metrics.requests, 1, { end: "answered" });
  }

  /**
   * The attempt failed before the head of its answer. Returns when there is another one to be made. `begun`: its client has sent it
   * more than once, or may have followed an answer, so that a refused connection proves nothing.
   */
  failed(attempt: Attempt, thrown: unknown, begun = false): void {
    const { repeatable, body, safe } = this.#plan;
    const cut = this.#cut;
    const redirected = this.#redirected;
    this.#over();
    if (cut?.by === "roll") this.#cut = undefined;
    if (cut?.by === "caller") throw cut.reason;
    // Its own error, and no server's: there is nothing whole to send again.
    if (body.failure !== undefined) throw body.failure.thrown;
    const failure = failureOf(thrown, attempt.origin);
    if (cut === undefined && failure === undefined) throw thrown;
    const unsent = cut === undefined && failure?.kind === "unsent" && !begun && redirected === "no";
    if (!unsent && !safe) this.#maybe = true;
    if (cut?.by === "deadline") throw this.#deadlinePassed();
    const why = cut === undefined ? (failure?.why ?? "") : sayings[cut.verdict];
    const { route } = attempt;
    this.#lastFailure = {
      why: redirected === "away" ? why : `${route.instance} at ${route.address}:${route.port}: ${why}`,
      cause: cut === undefined ? thrown : undefined,
    };
    if (redirected === "away")
      throw this.#error(
        "fetch/redirect-failed",
        "the server answered with a redirect, and the place that it leads to failed",
        'look there; `redirect: "manual"` hands the redirect to you',
      );
    if (cut === undefined && failure?.kind !== "elsewhere") {
      this.#desk.avoid(route, unsent ? avoidUnsentMs : avoidBrokenMs);
      this.#desk.doubts.tell(attempt.table, route, why);
    }
    if (!unsent && !repeatable)
      throw this.#error(
        "fetch/unknown",
        "it is not known whether the request was carried out",
        "look before you repeat it; mark what may run twice as repeatable",
      );
    this.#again(unsent);
    this.#resend(unsent ? "unreachable" : cut === undefined ? "broken" : cut.verdict);
  }

  /** What the reader of the answer's body is told when it ends early. */
  bodyError(thrown: unknown): unknown {
    const cut = this.#cut;
    if (cut?.by === "caller") return cut.reason;
    if (cut?.by !== "roll") return thrown;
    return new MusterError("fetch/answer-cut", `the answer ended early: ${sayings[cut.verdict]}`, {
      effect: "done",
      next: "ask again for the rest",
      cause: thrown,
    });
  }

  /** The answer is complete, or the request has failed. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#answered) this.#desk.settings.telemetry.count(metrics.requests, 1, { end: this.#maybe ? "unknown" : "failed" });
    this.#over();
    this.#deadline.cancel();
    this.#plan.body.end();
    this.#plan.ended();
  }

  /** Throws when there may be no further attempt. */
  #again(unsent: boolean): void {
    const { budget, settings } = this.#desk;
    if (!this.#plan.body.canRepeat(unsent))
      throw this.#error(
        "fetch/body-used",
        "the request cannot be sent again, because its body was a stream and is used up",
        "pass a body that can be read again: text, bytes, a Blob",
      );
    if (this.#attempts >= settings.attemptsMax)
      throw this.#error("fetch/given-up", `${this.#attempts} attempts failed`, "see `muster why KEY`");
    // The first one replaces dead work, a refused connection is no work: both are free.
    if (!unsent && this.#resent++ > 0 && !budget.take())
      throw this.#error(
        "fetch/budget-spent",
        "too many requests are being repeated",
        "see `muster doctor`: the fleet fails more than it answers",
      );
    if (unsent || this.#resent > 1) this.#pauses++;
  }

  /** Another server that could be asked now; undefined when there is none, or the roll cannot say. */
  #other(fits: (route: CompleteRoute) => boolean): CompleteRoute | undefined {
    const { target, find } = this.#plan;
    try {
      return chooseServer(this.#desk.fleet, target, find, (one) => !this.#desk.isAvoided(one) && fits(one)).fit;
    } catch (thrown) {
      if (thrown instanceof MusterError) return undefined;
      throw thrown;
    }
  }

  #over(): void {
    if (this.#attempt !== undefined) this.#desk.watch.remove(this.#attempt);
    this.#arrival?.tell();
    this.#arrival = undefined;
    this.#attempt = undefined;
    this.#cutAttempt = undefined;
  }

  #resend(why: string): void {
    this.#desk.settings.telemetry.count(metrics.resent, 1, { why });
  }

  #cutWith(cut: Cut): void {
    // The caller and the clock end the request, the roll only an attempt: the first one stands, but for that.
    if (this.#cut === undefined || this.#cut.by === "roll") this.#cut = cut;
    this.#wake?.();
    this.#cutAttempt?.(reasonOf(cut));
  }

  #accused(route: CompleteRoute, verdict: Verdict): void {
    const pathLost = verdict === "host-gone" || verdict === "route-cut";
    if (this.#answered) {
      if (pathLost) this.#cutWith({ by: "roll", verdict });
      return;
    }
    const { repeatable, body } = this.#plan;
    const definite = pathLost || verdict === "invalid";
    const movable = repeatable && body.canRepeat(false);
    // Whoever can be sent again moves as soon as there is somewhere to go; until then the answer may yet come.
    if (movable) {
      if (this.#other((one) => placeOf(one) !== placeOf(route)) !== undefined) this.#cutWith({ by: "roll", verdict });
    } else if (definite) this.#cutWith({ by: "roll", verdict });
  }

  #check(): void {
    const cut = this.#cut;
    if (cut?.by === "caller") throw cut.reason;
    if (cut?.by === "deadline" || this.#desk.clock.monoMs() >= this.#deadlineMonoMs) throw this.#deadlinePassed();
  }

  /** Until something has changed on the roll, but not longer than this. */
  async #change(forMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#desk.clock.schedule(forMs, resolve);
      const forget = this.#desk.watch.wakes(resolve);
      this.#wake = () => {
        timer.cancel();
        forget();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #pauseMs(): number {
    return this.#attempts === 0 || this.#pauses === 0
      ? 0
      : jitter(this.#desk.random, Math.min(pauseMsMin * 2 ** (this.#pauses - 1), pauseMsMax));
  }

  #untilAllowedMs(): number {
    const nowMonoMs = this.#desk.clock.monoMs();
    const waits = [...this.#notBefore.values()].filter((monoMs) => monoMs > nowMonoMs).map((monoMs) => monoMs - nowMonoMs);
    return Math.min(...waits, this.#deadlineMonoMs - nowMonoMs);
  }

  #noServer(): MusterError {
    const { table, key } = this.#plan.target;
    return this.#error("fetch/no-server", `no server answers for ${key} in ${table}`, `see \`muster why ${key}\``);
  }

  #deadlinePassed(): MusterError {
    return this.#error(
      "fetch/deadline",
      `no answer came within ${this.#plan.deadlineMs} ms`,
      "see `muster why KEY`, or give it longer: deadlineMs",
    );
  }

  #error(code: string, message: string, next: string): MusterError {
    const last = this.#lastFailure;
    return new MusterError(code, last === undefined ? message : `${message}; last: ${last.why}`, {
      effect: this.#maybe ? "maybe" : "none",
      next,
      ...(last?.cause === undefined ? {} : { cause: last.cause }),
    });
  }
}

function reasonOf(cut: Cut): unknown {
  return cut.by === "caller" ? cut.reason : new MusterError("fetch/moved", "the attempt was ended by its client");
}

const sayings: Readonly<Record<Verdict, string>> = {
  invalid: "the roll says that it does not serve any more",
  "host-gone": "the roll says that its host is gone",
  "route-cut": "the roll says that the route to it is cut",
  left: "it has left the place where it was asked",
  suspect: "the roll suspects that it is gone",
  stalled: "the roll says that it stands still",
};
