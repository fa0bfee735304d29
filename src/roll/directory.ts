import { type Clock, MusterError, type Random, type Revision, type Telemetry } from "../kernel/index.ts";
import type { Store } from "../storage/index.ts";
import { type Replica, builtInTableRows, tableNumbers } from "../tables/index.ts";
import { Attendance } from "./attendance.ts";
import { Authority } from "./authority.ts";
import type { ChangeLog } from "./change-log.ts";
import type { Epochs } from "./epochs.ts";
import { type Offer, Founding } from "./founding.ts";
import { raiseGroups } from "./group-return.ts";
import { type Departure, HostExpiry } from "./host-expiry.ts";
import { raiseHost } from "./host-return.ts";
import { writeRoute } from "./host-row.ts";
import type { Admit, Attached, HostNews, Presence, RouteNews } from "./messages.ts";
import { batchOfReplica, readStored } from "./opening.ts";
import type { RollLimits, RollPeriods } from "./options.ts";
import { Reaper } from "./reaper.ts";
import type { ChangeRequest, Outcome } from "./requests.ts";
import { expectedNames } from "./expected.ts";
import { beyond } from "./restored.ts";
import type { Session } from "./sessions.ts";
import { type StoredMeta, decodeMeta } from "./stored.ts";

export interface DirectoryPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly store: Store;
  readonly replica: Replica;
  readonly log: ChangeLog;
  readonly epochs: Epochs;
  readonly periods: RollPeriods;
  readonly limits: RollLimits;
  /** Mappings of the built-in partition tables, and what it is called in what it says of others. */
  readonly options: { readonly mappings?: Readonly<Record<string, string>>; readonly name: string };
  readonly committed: () => void;
  readonly tell: (session: number, number: number, outcome: Outcome) => void;
}

/** The duties of the node without a parent: reigns, admissions, who is attached, the barrier's last word. */
export class Directory {
  readonly attendance = new Attendance();
  readonly expiry: HostExpiry;
  readonly #ports: DirectoryPorts;
  readonly #founding: Founding;
  readonly #reaper: Reaper;
  /** Identity of this reign; an epoch's number alone may be given out twice, from an old copy of the store. */
  readonly reign: string;
  #authority: Authority | undefined;
  #ticks = 0;
  /** Called once the directory reigns. */
  onReign: () => void = () => {};

  constructor(ports: DirectoryPorts) {
    this.#ports = ports;
    const { clock, telemetry, replica, periods } = ports;
    const { name } = ports.options;
    this.reign = ports.random.hex(16);
    const { foundingMs, silentTicks } = periods;
    this.#founding = new Founding({ clock, telemetry, foundingMs, silentTicks, found: () => this.#found() });
    this.expiry = new HostExpiry({
      clock,
      telemetry,
      replica,
      periods,
      name,
      authority: () => this.#need(),
      hearsAnybody: () => this.#hearsAnybody(),
    });
    this.#reaper = new Reaper({
      replica,
      telemetry,
      reapAfterMs: periods.reapAfterMs,
      authority: () => this.#need(),
      forgotten: (host) => this.expiry.forget(host),
    });
  }

  get authority(): Authority | undefined {
    return this.#authority;
  }

  get fleet(): string {
    return this.#authority?.fleet ?? "";
  }

  /** What children are told when they attach; undefined before the reign. */
  answer(token: string, tick: number): Omit<Attached, "resumed"> | undefined {
    if (this.#authority === undefined) return undefined;
    const { fleet, epoch } = this.#authority;
    return { fleet, epoch, epochs: this.#ports.epochs.starts, path: [token], tick, reign: this.reign, detached: false };
  }

  /** Opens the store and begins a reign, or waits for the founding. */
  async start(): Promise<void> {
    const stored = await this.#ports.store.open();
    const meta = decodeMeta(stored.meta);
    if (meta === undefined) {
      this.#founding.begin();
      return;
    }
    const sessions = readStored(stored, meta, this.#ports);
    if (meta.restored !== undefined) this.#survey(meta, meta.restored);
    else await this.#reign(meta.fleet, meta.last.sequence, sessions, "known");
  }

  /**
   * A snapshot was put back. Nodes of its fleet may know more than it, so the reign begins far beyond whatever they have seen:
   * what was given out after the snapshot (revisions, sessions, incarnations) is never given out again. docs/decisions/014.
   */
  #survey({ fleet, last }: StoredMeta, known: Revision): void {
    const { epochs, log, replica, telemetry } = this.#ports;
    const begin = async () => {
      const offers = await this.#founding.survey(fleet);
      const first = beyond([last, known], offers);
      // What lies between belongs to an epoch in which nobody ever was, so no position in it is taken for one of ours.
      epochs.note(first.epoch - 1, last.sequence + 1);
      replica.advance(first.epoch - 1, first.sequence - 1);
      log.reset(first.sequence - 1);
      telemetry.log("warn", "restored", { fleet, epoch: last.epoch, sequence: last.sequence, nodes: offers.length, goesOn: first.epoch });
      await this.#reign(fleet, first.sequence - 1, [], "older");
    };
    begin().catch((thrown: unknown) => this.#ports.telemetry.log("error", "restore-failed", { reason: String(thrown) }));
  }

  /** A node that knows an older fleet is at the door of a directory without one. */
  offered(offer: Offer, adopt: () => void, refuse: (error: MusterError) => void): void {
    this.#founding.offered(offer, adopt, refuse);
  }

  /** The node that offered is gone again. */
  withdrawn(adopt: () => void): void {
    this.#founding.withdrawn(adopt);
  }

  /** A part of the replica that was asked for has arrived. */
  adoptionGoesOn(): void {
    this.#founding.progress();
  }

  async #found(): Promise<void> {
    await this.#reign(this.#ports.random.hex(16), 0, [], "known");
    this.#ports.telemetry.log("info", "fleet-founded", { fleet: this.fleet });
  }

  /** The adopted replica is complete: it becomes the fleet's roll, under a higher epoch than anybody has seen. */
  adopt(fleet: string): void {
    this.#founding.taken();
    void this.#founding.insist("adoption", () => this.#adopted(fleet));
  }

  async #adopted(fleet: string): Promise<void> {
    const { replica, store, log, telemetry } = this.#ports;
    const { epoch, sequence } = replica.position;
    log.reset(sequence);
    await store.commit(batchOfReplica(fleet, this.#ports));
    telemetry.log("warn", "adopted", { fleet, entries: replica.size, epoch, sequence });
    await this.#reign(fleet, sequence, [], "older");
  }

  /** `older`: the roll that the reign begins with may be older than what its fleet has seen. */
  async #reign(fleet: string, sequence: number, sessions: readonly Session[], roll: "known" | "older"): Promise<void> {
    const { epochs, replica, options } = this.#ports;
    const epoch = epochs.newest + 1;
    epochs.note(epoch, sequence + 1);
    const authority = new Authority(this.#ports, { fleet, epoch, sequence });
    for (const session of sessions) {
      authority.sessions.set(session.id, session);
      // Renewed first: whoever was there before this start gets the whole grace to come back.
      this.attendance.expect(session.id);
    }
    await authority.duty(
      (draft) => {
        // At the founding all of them; a fleet that an older version founded lacks the newer ones.
        for (const { key, text } of builtInTableRows(options.mappings))
          if (draft.row(tableNumbers.tables, key) === undefined)
            draft.put(tableNumbers.tables, key, { text, valid: true, owner: "", incarnation: 0 });
        return true;
      },
      { empty: true },
    );
    if (roll === "older") await raiseGroups(authority, replica);
    for (const { name, isHost } of expectedNames(sessions, replica))
      this.expiry.left(name, isHost, "unknown", "it has not come back since the directory was started");
    this.#authority = authority;
    this.#founding.end();
    this.onReign();
  }

  #need(): Authority {
    if (this.#authority === undefined)
      throw new MusterError("roll/no-directory", "the directory is still looking for nodes of an older fleet", {
        next: "try again in a moment",
      });
    return this.#authority;
  }

  submit(request: ChangeRequest): void {
    this.#need().submit(request);
  }

  async admit(admit: Admit, via: number): Promise<number> {
    const authority = this.#need();
    for (const known of authority.sessions.values()) {
      const live = authority.sessionLives(known.id);
      if (live && known.token === admit.token && known.kind === admit.kind) {
        // First: from now on nobody gives it up.
        this.attendance.attached(known.id, admit.counter, via);
        if (known.kind !== "client") this.expiry.back(known.name);
        if (known.kind === "agent")
          await raiseHost(authority, this.#ports.replica, admit, false).catch((thrown: unknown) => {
            // It was told of a refusal, so those on its way will not tell of its end.
            this.#away(known, admit.counter, "unknown", "its admission failed");
            throw thrown;
          });
        return known.id;
      }
      if (live && admit.kind === "agent" && known.kind === "agent" && known.name === admit.name) {
        // One that is silent on all its routes is a host that went without a word, and this is its return.
        if (this.attendance.get(known.id)?.state === "attached" && !this.expiry.isExpired(known.name))
          throw new MusterError("roll/host-name-taken", `another agent is attached for the host "${admit.name}"`, {
            next: "give this host another name (--host), or stop the other agent",
          });
        this.attendance.forget(known.id);
        await authority.endSession(known.id);
      }
    }
    return this.#admitNew(authority, admit, via);
  }

  async #admitNew(authority: Authority, admit: Admit, via: number): Promise<number> {
    const { replica, telemetry } = this.#ports;
    try {
      if (admit.kind !== "client") this.expiry.back(admit.name);
      if (admit.kind === "agent") await raiseHost(authority, replica, admit, true);
      const session = await authority.admit(admit);
      this.attendance.attached(session.id, admit.counter, via);
      telemetry.log("info", "admitted", { kind: admit.kind, name: admit.name, session: session.id });
      return session.id;
    } catch (thrown) {
      if (admit.kind !== "client") this.expiry.left(admit.name, admit.kind === "agent", "unknown", "its admission failed");
      throw thrown;
    }
  }

  presence(news: Presence, via: number): void {
    const session = this.#authority?.sessions.get(news.session);
    if (session === undefined) return;
    if (news.state === "attached") {
      this.attendance.attached(news.session, news.counter, via);
      this.#returned(session);
      return;
    }
    if (!this.#away(session, news.counter, news.cause ?? "unknown", farewells[news.cause ?? "unknown"])) return;
    if (news.state === "gone" && session.kind !== "agent") this.#end(session);
  }

  /** A link of the directory ended: everybody below it is out of sight, which says nothing about them. */
  lost(via: number): void {
    for (const id of this.attendance.lost(via)) {
      const session = this.#authority?.sessions.get(id);
      if (session !== undefined && session.kind !== "client")
        this.expiry.left(session.name, session.kind === "agent", "unknown", farewells.unknown);
    }
  }

  /** Returns whether the news was about the newest attachment. */
  #away(session: Session, counter: number, cause: Departure, why: string): boolean {
    if (!this.attendance.left(session.id, counter)) return false;
    if (session.kind !== "client") this.expiry.left(session.name, session.kind === "agent", cause, why);
    return true;
  }

  /** An attachment of a known session. If its host was given up meanwhile, it is valid again. */
  #returned({ kind, name, token }: Session): void {
    if (kind === "client" || !this.expiry.back(name)) return;
    raiseHost(this.#need(), this.#ports.replica, { kind, name, token, counter: 0, routes: [], attributes: {} }, false).catch(
      (thrown: unknown) => {
        this.expiry.left(name, true, "unknown", "its return could not be kept");
        this.#ports.telemetry.log("error", "duty-failed", { duty: "return", reason: String(thrown) });
      },
    );
  }

  /** What the node that a host is attached to hears of it on its routes. About an older attachment it is outdated. */
  hostNews(news: HostNews, via: number): void {
    const session = this.#witnessed(news, via);
    if (session === undefined) return;
    if (news.heard) this.#returned(session);
    else this.expiry.silent(session.name, news.why);
  }

  /** A route of a host was cut, or is back. */
  routeNews(news: RouteNews, via: number): void {
    const session = this.#witnessed(news, via);
    if (session === undefined) return;
    const { clock, telemetry, options } = this.#ports;
    const key = `${session.name}.${news.number}`;
    this.#need()
      .duty((draft) => writeRoute(draft, key, news.valid, news.why, { by: options.name, sinceUnixMs: clock.unixMs() }))
      .then(
        () => telemetry.log("info", news.valid ? "route-valid" : "route-cut", { route: key, why: news.why }),
        (thrown: unknown) => telemetry.log("error", "duty-failed", { duty: "route", reason: String(thrown) }),
      );
  }

  /** Evidence counts from the node that the agent is attached to now. */
  #witnessed(news: HostNews | RouteNews, via: number): Session | undefined {
    const session = this.#authority?.sessions.get(news.session);
    const attendant = this.attendance.get(news.session);
    const current = attendant?.state === "attached" && attendant.counter === news.counter && attendant.via === via;
    if (session?.kind === "agent" && session.name === news.host && current) return session;
    this.#ports.telemetry.log("debug", "outdated-evidence", { host: news.host, session: news.session, counter: news.counter });
    return undefined;
  }

  #hearsAnybody(): boolean {
    for (const { session, state, via } of this.attendance) {
      const kind = this.#authority?.sessions.get(session)?.kind;
      if (state === "attached" && via > 0 && (kind === "agent" || kind === "relay")) return true;
    }
    return false;
  }

  #end(session: Session): void {
    this.attendance.forget(session.id);
    this.#need()
      .endSession(session.id)
      .catch((thrown: unknown) => this.#ports.telemetry.log("error", "duty-failed", { duty: "end-session", reason: String(thrown) }));
  }

  /** One tick of the directory in good order: whoever has been away for too long is given up, then forgotten. */
  tick(): void {
    const authority = this.#authority;
    if (authority === undefined) {
      this.#founding.tick();
      return;
    }
    this.#ticks++;
    this.attendance.tick();
    this.expiry.tick();
    const { tickMs, hostGraceMs, sessionGraceMs, reapAfterMs } = this.#ports.periods;
    for (const attendant of [...this.attendance]) {
      const awayMs = attendant.ticksAway * tickMs;
      const session = authority.sessions.get(attendant.session);
      if (session === undefined) this.attendance.forget(attendant.session);
      else if (attendant.state === "left" && awayMs >= hostGraceMs) attendant.state = "given-up";
      else if (attendant.state === "given-up" && awayMs >= sessionGraceMs) this.#end(session);
    }
    const reapTicks = Math.max(1, Math.ceil(Math.min(reapAfterMs / 4, 600_000) / tickMs));
    if (this.#ticks % reapTicks === 0) this.#reaper.pass(reapTicks * tickMs);
  }

  async close(): Promise<void> {
    this.#founding.close();
    await this.#authority?.close();
    await this.#ports.store.close();
  }
}

const farewells: Readonly<Record<Departure, string>> = {
  closed: "the link to its agent was closed",
  silent: "nothing is heard from its agent",
  unknown: "its agent was out of sight and did not come back",
};
