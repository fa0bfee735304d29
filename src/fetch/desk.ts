import { type Clock, MusterError, type Random } from "../kernel/index.ts";
import { Addresses, type Target } from "./addresses.ts";
import { AvoidedAddresses } from "./avoided.ts";
import type { Body } from "./body.ts";
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
import { RetryBudget } from "./retry-budget.ts";

/** What all requests of one client share: whom they avoid, what they may repeat, and what the roll says. */
export class Desk {
  readonly fleet: FetchFleet;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: Settings;
  readonly addresses: Addresses;
  readonly avoided: AvoidedAddresses;
  readonly budget: RetryBudget;
  readonly doubts: Doubts;
  readonly watch: FailureWatch;
  #inFlight = 0;
  #closed = false;

  constructor(fleet: FetchFleet, options: FetchOptions, { clock, random }: FetchPorts) {
    this.fleet = fleet;
    this.clock = clock;
    this.random = random;
    this.settings = parseSettings(options);
    this.addresses = new Addresses(fleet, clock);
    this.avoided = new AvoidedAddresses(clock);
    this.budget = new RetryBudget(clock);
    this.doubts = new Doubts(fleet, clock, this.settings.telemetry);
    this.watch = new FailureWatch(fleet);
  }

  /** Requests that have not ended. */
  get inFlight(): number {
    return this.#inFlight;
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
    this.#closed = true;
    this.watch.close();
  }
}
