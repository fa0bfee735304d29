import { type Clock, MusterError, type Random } from "../kernel/index.ts";
import type { CompleteRoute } from "../find/index.ts";
import { AvoidedAddresses, RetryBudget } from "../requests/index.ts";
import { Addresses, type Target } from "./addresses.ts";
import type { Body } from "./body.ts";
import { placeOf } from "./choice.ts";
import { Course } from "./course.ts";
import { Doubts } from "./doubts.ts";
import { FailureWatch } from "./failure-watch.ts";
import type { FetchFleet } from "./fetch-fleet.ts";
import {
  type FetchOptions,
  type FetchPorts,
  type FleetRequestOptions,
  type Settings,
  isSafe,
  parseDeadlineMs,
  parseSettings,
} from "./options.ts";
import { Patience } from "./patience.ts";

/** Of the requests of a client; what they have not spent is saved up to so many re-sends. */
const retryShare = 0.2;
const retryBurst = 100;

/** What all requests of one client share: whom they avoid, what they may repeat, and what the roll says. */
export class Desk {
  readonly fleet: FetchFleet;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: Settings;
  readonly addresses: Addresses;
  readonly budget = new RetryBudget(retryShare, retryBurst);
  readonly doubts: Doubts;
  readonly watch: FailureWatch;
  readonly patience: Patience;
  readonly #avoided = new AvoidedAddresses();
  #inFlight = 0;
  #closed = false;

  constructor(fleet: FetchFleet, options: FetchOptions, { clock, background = clock, random }: FetchPorts) {
    this.fleet = fleet;
    this.clock = clock;
    this.random = random;
    this.settings = parseSettings(options);
    this.addresses = new Addresses(fleet, clock);
    this.patience = new Patience(clock);
    this.doubts = new Doubts(fleet, background, this.settings.telemetry);
    this.watch = new FailureWatch(fleet);
  }

  /** Requests that have not ended. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** It failed: this client passes it over for a while, which grows while it goes on failing. */
  avoid(route: CompleteRoute, forMs: number): void {
    this.#avoided.avoid(placeOf(route), route.revision, this.clock.monoMs(), forMs);
  }

  /** Whether it has failed a moment ago, or asked for time. */
  isAvoided(route: CompleteRoute): boolean {
    const place = placeOf(route);
    return this.#avoided.isAvoided(place, route.revision, this.clock.monoMs()) || this.patience.isAsked(place, route.revision);
  }

  /** It has answered. */
  reached(route: CompleteRoute): void {
    this.#avoided.forget(placeOf(route), this.clock.monoMs());
  }

  /** Throws `fetch/bad-url`, `fetch/unknown-key`, `fetch/ambiguous-key`, `fetch/bad-option`, `fetch/too-many` and `fetch/closed`. */
  begin(url: URL, method: string, body: Body, options: FleetRequestOptions = {}): Course {
    if (this.#closed) throw new MusterError("fetch/closed", "this client was closed", { next: "make another one" });
    const { inFlightMax, repeatableMethods } = this.settings;
    if (this.#inFlight >= inFlightMax)
      throw new MusterError("fetch/too-many", `${inFlightMax} requests are under way already`, {
        next: "ask more slowly, read or cancel the bodies of answers, or set inFlightMax",
      });
    const target: Target = this.addresses.parse(url);
    this.watch.follow(target.table);
    const safe = isSafe(method);
    const course = new Course(this, {
      target,
      safe,
      repeatable: options.repeatable ?? (safe || repeatableMethods.has(method)),
      deadlineMs: options.deadlineMs === undefined ? this.settings.deadlineMs : parseDeadlineMs(options.deadlineMs),
      find: options.find,
      body,
      ended: () => this.#inFlight--,
    });
    this.#inFlight++;
    this.budget.earn();
    return course;
  }

  /** Requests under way go on, without the roll's help; new ones are refused. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.watch.close();
    this.doubts.close();
  }
}
