import { type Clock, type Telemetry, formatInstant } from "../kernel/index.ts";
import { type Replica, type StateName, hostOfText, tableNumbers } from "../tables/index.ts";
import type { Authority } from "./authority.ts";
import { clearState, hasOwnState, putState } from "./entry-states.ts";
import { evictFrom, groupsOn } from "./group-rules.ts";
import { type Absence, type Hold, judge } from "./guard.ts";
import { groundOf, recentOf } from "./guard-ground.ts";
import { metricNames } from "./metrics.ts";
import type { RollPeriods } from "./options.ts";
import { watcherOfOwner } from "./rules.ts";

/**
 * How a node came to be away. `closed`: its link was closed or reset, so its program has ended; `silent`: nothing more was heard;
 * `unknown`: something between us ended (a relay, this directory itself), which says nothing about the node.
 */
export type Departure = "closed" | "silent" | "unknown";

interface Away {
  readonly name: string;
  readonly isHost: boolean;
  readonly cause: Departure;
  readonly why: string;
  /** On the count of good time: ticks of the directory that came when they were due. */
  sinceMs: number;
  /** Since when it is judged, and when its grace ends. */
  judgedFromMs: number;
  dueMs: number;
  state: "away" | "expired";
  /** What was said of it in `states`. */
  said: "nothing" | "unwatched" | "suspect";
  /** It had the new grace that the end of an isolation gives. */
  renewed: boolean;
}

export interface HostExpiryPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly replica: Replica;
  readonly periods: RollPeriods;
  /** The directory's name, for what it says of others. */
  readonly name: string;
  readonly authority: () => Authority;
  /** Whether any other agent or relay is heard at present. */
  readonly hearsAnybody: () => boolean;
}

/** At most so many rows a change: one row may become two effects. */
const chunkMax = 50;
/** A timer this much later than due: the directory itself was away, and the next tick in good order judges. */
const lateMs = 100;
/** Fewer hosts than this are never guarded, and no directory takes itself for cut off because of them. */
const guardedHostsMin = 4;

/**
 * Who is away, why, and what follows from it: said in `states` at once, given up after the grace, held back while too many
 * fall silent together. The rule for that is in `guard.ts`; here are its time, its ground, and what is written.
 */
export class HostExpiry {
  readonly #ports: HostExpiryPorts;
  readonly #away = new Map<string, Away>();
  readonly #holds = new Map<string, Hold>();
  #goodMs = 0;
  #tickedMonoMs: number;
  #isolated = false;

  constructor(ports: HostExpiryPorts) {
    this.#ports = ports;
    this.#tickedMonoMs = ports.clock.monoMs();
  }

  /** Hosts that the guard holds, with the end of each hold in milliseconds from now. */
  get held(): readonly { readonly host: string; readonly leftMs: number; readonly among: string }[] {
    const now = this.#nowMs();
    return Array.from(this.#holds, ([host, { untilMs, among }]) => ({ host, leftMs: Math.max(0, Math.round(untilMs - now)), among }));
  }

  /** Nobody at all is heard: then the directory itself is cut off, and judges nobody. */
  get isolated(): boolean {
    return this.#isolated;
  }

  isExpired(name: string): boolean {
    return this.#away.get(name)?.state === "expired";
  }

  /** A node has left, or is expected and has not come yet. */
  left(name: string, isHost: boolean, cause: Departure, why: string): void {
    if (this.#away.has(name)) return;
    const { hostGraceMs } = this.#ports.periods;
    const now = this.#nowMs();
    const judgedFromMs = now + (cause === "silent" ? this.#settleMs : hostGraceMs);
    this.#away.set(name, {
      name,
      isHost,
      cause,
      why,
      sinceMs: now,
      judgedFromMs,
      dueMs: now + hostGraceMs,
      state: "away",
      said: "nothing",
      renewed: false,
    });
    if (!isHost) return;
    if (cause === "closed") this.#sayUnwatched([name]);
    if (cause === "silent") this.#judgeSoon();
  }

  /** A host is silent on all its routes, as several nodes agree: it is given up at once, unless too many are. */
  silent(name: string, why: string): void {
    const known = this.#away.get(name);
    if (known?.state === "expired") return;
    const now = this.#nowMs();
    const judgedFromMs = now + this.#settleMs;
    const sinceMs = Math.min(known?.sinceMs ?? now, now);
    const { said = "nothing", renewed = false } = known ?? {};
    const judged = { sinceMs, judgedFromMs, dueMs: judgedFromMs };
    this.#away.set(name, { name, isHost: true, cause: "silent", why, ...judged, state: "away", said, renewed });
    this.#judgeSoon();
  }

  /** The node is back, or was never away. Returns whether its host had been given up meanwhile. */
  back(name: string): boolean {
    const known = this.#away.get(name);
    this.#away.delete(name);
    if (this.#holds.delete(name)) this.#ports.telemetry.log("info", "guard-released", { host: name, held: this.#holds.size });
    if (known === undefined || known.state === "expired") return known?.isHost === true;
    if (known.said !== "nothing") this.#unsay(name);
    return false;
  }

  /** The row of a host that was given up is gone as well. */
  forget(host: string): void {
    if (this.#away.get(host)?.state === "expired") this.#away.delete(host);
  }

  /** One tick of the directory that came when it was due, after all input that had arrived was read. */
  tick(): void {
    const { tickMs } = this.#ports.periods;
    this.#goodMs += tickMs;
    this.#tickedMonoMs = this.#ports.clock.monoMs();
    this.#checkIsolation();
    if (this.#isolated) return;
    this.#judge();
    const half = this.#goodMs - this.#ports.periods.hostGraceMs / 2;
    const quiet = [...this.#away.values()].filter(
      ({ isHost, state, said, sinceMs }) => isHost && state === "away" && said === "nothing" && sinceMs <= half,
    );
    this.#sayUnwatched(quiet.map(({ name }) => name));
  }

  /** Good time now: the last tick in good order, and at most one more. */
  #nowMs(): number {
    return this.#goodMs + Math.min(this.#ports.clock.monoMs() - this.#tickedMonoMs, this.#ports.periods.tickMs);
  }

  /** How long a silence waits for others that began with it. */
  get #settleMs(): number {
    return 0.4 * this.#ports.periods.tickMs;
  }

  #judgeSoon(): void {
    const { clock } = this.#ports;
    const dueMonoMs = clock.monoMs() + this.#settleMs;
    clock.schedule(this.#settleMs + 1, () => {
      if (clock.monoMs() - dueMonoMs > lateMs) return;
      clock.turn(() =>
        clock.turn(() => {
          if (!this.#isolated) this.#judge();
        }),
      );
    });
  }

  /**
   * A directory that hears nobody has nobody to tell, and is itself the likelier cause: time stands still for its absences, and
   * whoever is missing when somebody is heard again gets the whole grace, as after a restart. Each absence gets that once: one agent
   * that comes and goes, while all others are dead, would else keep them valid for ever.
   */
  #checkIsolation(): void {
    const hosts = [...this.#away.values()].filter(({ isHost, state }) => isHost && state === "away");
    const isolated = hosts.length >= guardedHostsMin && !this.#ports.hearsAnybody();
    if (isolated === this.#isolated) {
      if (isolated) this.#postpone(this.#ports.periods.tickMs);
      return;
    }
    this.#isolated = isolated;
    this.#ports.telemetry.log("warn", isolated ? "nobody-heard" : "somebody-heard", { away: hosts.length });
    if (isolated) return;
    for (const away of hosts) {
      if (away.renewed) continue;
      const graceMs = this.#ports.periods.hostGraceMs;
      Object.assign(away, { sinceMs: this.#goodMs, judgedFromMs: this.#goodMs + graceMs, dueMs: this.#goodMs + graceMs, renewed: true });
      this.#holds.delete(away.name);
    }
  }

  #postpone(byMs: number): void {
    for (const away of this.#away.values()) {
      if (away.state === "expired") continue;
      away.sinceMs += byMs;
      away.judgedFromMs += byMs;
      away.dueMs += byMs;
    }
    for (const [host, hold] of this.#holds) this.#holds.set(host, { ...hold, untilMs: hold.untilMs + byMs });
  }

  #judge(): void {
    const { telemetry, replica, periods } = this.#ports;
    const now = this.#nowMs();
    const absences: Absence[] = [];
    for (const { name, isHost, cause, sinceMs, judgedFromMs, dueMs, state } of [...this.#away.values()])
      if (isHost) {
        const countsFromMs = cause === "unknown" ? judgedFromMs : sinceMs;
        const kind = cause === "closed" ? "closed" : "silent";
        absences.push({ host: name, kind, sinceMs, countsFromMs, judgedFromMs, dueMs, expired: state === "expired" });
      } else if (now >= dueMs) this.#expireNode(name);
    if (!absences.some(({ expired, judgedFromMs }) => !expired && judgedFromMs <= now)) return;
    const windowMs = periods.silentTicks * periods.tickMs;
    const rules = { hostsMin: guardedHostsMin, shareMax: 0.3, windowMs, holdMs: periods.guardHoldMs };
    const present = recentOf(absences, windowMs);
    const { held, due } = judge(present, this.#holds, groundOf(replica, present), now, rules);
    for (const [host, hold] of held) this.#holds.set(host, hold);
    if (held.size > 0) {
      const [first] = held.values();
      telemetry.count(metricNames.guardHolds, held.size);
      telemetry.log("warn", "guard-holds", { hosts: [...held.keys()].slice(0, 20), among: first?.among ?? "", silent: first?.silent ?? 0 });
      this.#saySuspect([...held.keys()]);
    }
    const released = new Set(due);
    for (const host of due) this.#expireHost(host);
    // Silent, and neither held nor due: its agent is away.
    const rest = absences.filter(({ host, kind, judgedFromMs }) => kind === "silent" && judgedFromMs <= now && !released.has(host));
    this.#sayUnwatched(rest.map(({ host }) => host).filter((host) => !this.#holds.has(host) && this.#away.get(host)?.cause === "silent"));
  }

  // What is written.

  #sayUnwatched(names: readonly string[]): void {
    const due = names.filter((name) => {
      const away = this.#away.get(name);
      return away?.state === "away" && away.said === "nothing";
    });
    this.#say(due, "unwatched", ({ why }) => `${why}; its servers are not watched until its agent is back`);
  }

  #saySuspect(names: readonly string[]): void {
    const unixMs = this.#ports.clock.unixMs();
    this.#say(names, "suspect", ({ name, why }) => {
      const hold = this.#holds.get(name);
      if (hold === undefined) return why;
      const until = formatInstant(unixMs + hold.untilMs - this.#nowMs());
      return `mass-failure guard: ${hold.silent} of ${hold.of} hosts of ${hold.among} fell silent together; given up if still silent at ${until} (${why})`;
    });
  }

  #say(names: readonly string[], state: "unwatched" | "suspect", reason: (away: Away) => string): void {
    for (const name of names) {
      const away = this.#away.get(name);
      if (away !== undefined) away.said = state;
    }
    for (let start = 0; start < names.length; start += chunkMax)
      this.#duty("say", (authority) =>
        authority.duty((draft) => {
          for (const name of names.slice(start, start + chunkMax)) {
            const away = this.#away.get(name);
            if (away?.state !== "away" || draft.row(tableNumbers.hosts, name)?.valid !== true) continue;
            putState(draft, "hosts", name, this.#word(state, reason(away)));
          }
          return true;
        }),
      );
  }

  #word(state: StateName, reason: string) {
    return { state, reason, by: this.#ports.name, sinceUnixMs: this.#ports.clock.unixMs() };
  }

  #unsay(name: string): void {
    this.#duty("unsay", (authority) =>
      authority.duty((draft) => {
        if (!hasOwnState(draft, "hosts", name)) return false;
        clearState(draft, "hosts", name);
        return true;
      }),
    );
  }

  #duty(duty: string, run: (authority: Authority) => Promise<unknown>, failed?: () => void): void {
    run(this.#ports.authority()).catch((thrown: unknown) => {
      failed?.();
      this.#ports.telemetry.log("error", "duty-failed", { duty, reason: String(thrown) });
    });
  }

  /** The host's row turns invalid, and with it everything on it, in one operation. */
  #expireHost(name: string): void {
    const away = this.#away.get(name);
    if (away === undefined) return;
    away.state = "expired";
    this.#holds.delete(name);
    this.#ports.telemetry.log("warn", "host-expired", { name, cause: away.cause, why: away.why });
    const places = this.#watchedElsewhere(name);
    this.#duty(
      "expire",
      async (authority) => {
        const evicted = this.#evictMost(authority, name);
        const given = authority.duty((draft) => {
          const row = draft.row(tableNumbers.hosts, name);
          if (row?.valid !== true || this.#away.get(name) !== away) return false;
          draft.setValid(tableNumbers.hosts, name, row, false);
          putState(draft, "hosts", name, this.#word("gone", away.why));
          return true;
        });
        await Promise.all([evicted, given]);
        await this.#invalidate(authority, name, places, away);
      },
      // The store refused: the next tick tries again.
      () => (away.state = "away"),
    );
  }

  /**
   * A change that gives a host up takes its servers out of their ordering groups, too. Where more groups follow from it than a change
   * holds, the first of them lose their servers in changes just before it: nobody decides anything in between, and a server
   * that is no member while it is valid misleads nobody.
   */
  async #evictMost(authority: Authority, name: string): Promise<void> {
    const places = authority.ground.draft.row(tableNumbers.hosts, name)?.valid === true ? groupsOn(authority.ground, name) : [];
    const parts: Promise<unknown>[] = [];
    for (let start = chunkMax; start < places.length; start += chunkMax)
      parts.push(
        authority.duty(() => {
          evictFrom(authority.ground, name, places.slice(start, start + chunkMax));
          return true;
        }),
      );
    await Promise.all(parts);
  }

  /** A relay or a directory that watched programs itself: what it watched turns invalid. */
  #expireNode(name: string): void {
    const away = this.#away.get(name);
    if (away === undefined) return;
    this.#away.delete(name);
    const places = this.#watchedElsewhere(name);
    this.#ports.telemetry.log("warn", "node-expired", { name, entries: places.length });
    this.#duty(
      "expire",
      (authority) => this.#invalidate(authority, name, places, undefined),
      () => {
        if (!this.#away.has(name)) this.#away.set(name, away);
      },
    );
  }

  /** Valid entries that this node answers for and that do not lie on its host. */
  #watchedElsewhere(name: string): readonly { readonly table: number; readonly key: string }[] {
    const { replica } = this.#ports;
    const places: { table: number; key: string }[] = [];
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table))
        if (row.incarnation > 0 && row.flag && watcherOfOwner(row.owner) === name && hostOfText(row.text) !== name)
          places.push({ table, key: row.key });
    return places;
  }

  async #invalidate(
    authority: Authority,
    name: string,
    places: readonly { readonly table: number; readonly key: string }[],
    away: Away | undefined,
  ): Promise<void> {
    for (let start = 0; start < places.length; start += chunkMax)
      await authority.duty((draft) => {
        if (this.#away.get(name) !== away) return false;
        for (const { table, key } of places.slice(start, start + chunkMax)) {
          const row = draft.row(table, key);
          if (row?.valid === true && watcherOfOwner(row.owner) === name) draft.setValid(table, key, row, false);
        }
        return true;
      });
  }
}
