import { type Clock, MusterError, type Random, type Telemetry, type Timer } from "../kernel/index.ts";
import type { Store } from "../storage/index.ts";
import { type Replica, builtInTableRows, hostOfText, tableNumbers } from "../tables/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { Attendance, type Attendant } from "./attendance.ts";
import { Authority } from "./authority.ts";
import type { ChangeLog } from "./change-log.ts";
import type { Draft, DraftRow } from "./draft.ts";
import type { Epochs } from "./epochs.ts";
import type { Admit, Attached, Presence } from "./messages.ts";
import type { RollLimits, RollPeriods } from "./options.ts";
import type { ChangeRequest, Outcome } from "./requests.ts";
import { instanceOf, joinInstance, watcherOfOwner } from "./rules.ts";
import { type Session, decodeSession } from "./sessions.ts";
import { decodeMeta, decodeRow, encodeMeta, encodeRow } from "./stored.ts";

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
  readonly mappings: Readonly<Record<string, string>>;
  readonly committed: () => void;
  readonly tell: (session: number, number: number, outcome: Outcome) => void;
}

/** What a node of an older fleet holds, as it says itself. */
export interface Offer {
  readonly fleet: string;
  readonly epoch: number;
  readonly sequence: number;
}

/** The duties of the node without a parent: founding, reigns, admissions, expiry of hosts and sessions, the barrier's last word. */
export class Directory {
  readonly attendance = new Attendance();
  readonly #ports: DirectoryPorts;
  /** Identity of this reign; an epoch's number alone may be given out twice, from an old copy of the store. */
  readonly reign: string;
  #authority: Authority | undefined;
  #founding: Timer | undefined;
  #adopting = false;
  #reaping: Map<string, number> = new Map();
  #ticks = 0;
  #offers: { readonly offer: Offer; readonly adopt: () => void; readonly refuse: (error: MusterError) => void }[] = [];
  /** Called once the directory reigns. */
  onReign: () => void = () => {};

  constructor(ports: DirectoryPorts) {
    this.#ports = ports;
    this.reign = ports.random.hex(16);
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
    const { store, replica, epochs, log, clock, periods } = this.#ports;
    const stored = await store.open();
    const meta = decodeMeta(stored.meta);
    if (meta === undefined) {
      this.#founding = clock.schedule(periods.foundingMs, () => void this.#foundOrAdopt());
      return;
    }
    const load = replica.beginLoad([{ table: "all", prefix: "" }]);
    for (const { table, key, bytes } of stored.entries()) {
      const row = decodeRow(bytes);
      load.put(table, key, row.text, row.valid, row.owner, row.incarnation, row.epoch, row.sequence);
    }
    load.finish(meta.last.epoch, meta.last.sequence);
    epochs.replace(meta.epochs);
    const records = [...stored.log()];
    log.reset(Math.min(meta.last.sequence, (records[0]?.sequence ?? meta.last.sequence + 1) - 1));
    for (const { sequence, bytes } of records) log.append({ epoch: epochs.epochOf(sequence), sequence, bytes });
    const sessions = [...stored.sessions()].map(({ bytes }) => decodeSession(bytes));
    await this.#reign(meta.fleet, meta.last.sequence, sessions);
  }

  /** A node that knows an older fleet is at the door of an empty directory. */
  offered(offer: Offer, adopt: () => void, refuse: (error: MusterError) => void): void {
    if (this.#authority !== undefined || this.#adopting) {
      refuse(new MusterError("roll/try-again", "the directory has a fleet by now", { next: "attach again" }));
      return;
    }
    this.#offers.push({ offer, adopt, refuse });
  }

  /** The node that offered is gone again. */
  withdrawn(adopt: () => void): void {
    this.#offers = this.#offers.filter((known) => known.adopt !== adopt);
    if (this.#adopting && this.#authority === undefined) {
      this.#adopting = false;
      this.#founding = this.#ports.clock.schedule(this.#ports.periods.foundingMs, () => void this.#foundOrAdopt());
    }
  }

  async #foundOrAdopt(): Promise<void> {
    this.#founding = undefined;
    const [best] = this.#offers.toSorted((a, b) => b.offer.epoch - a.offer.epoch || b.offer.sequence - a.offer.sequence);
    if (best !== undefined) {
      this.#adopting = true;
      this.#ports.telemetry.log("warn", "adopting", { fleet: best.offer.fleet, epoch: best.offer.epoch, sequence: best.offer.sequence });
      best.adopt();
      return;
    }
    await this.#reign(this.#ports.random.hex(16), 0, [], (draft) => {
      for (const { key, text } of builtInTableRows(this.#ports.mappings))
        draft.put(tableNumbers.tables, key, { text, valid: true, owner: "", incarnation: 0 });
    });
    this.#ports.telemetry.log("info", "fleet-founded", { fleet: this.fleet });
  }

  /** The adopted replica is complete: it becomes the fleet's roll, under a higher epoch than anybody has seen. */
  async adopted(fleet: string): Promise<void> {
    const { replica, store, epochs, log, telemetry } = this.#ports;
    const { position } = replica;
    const writer = new ByteWriter();
    const entries: { table: number; key: string; bytes: Uint8Array }[] = [];
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table))
        entries.push({ table, key: row.key, bytes: encodeRow(writer, { ...pick(row), valid: row.flag }) });
    log.reset(position.sequence);
    await store.commit({ meta: encodeMeta({ fleet, epochs: epochs.starts, last: position }), entries });
    telemetry.log("warn", "adopted", { fleet, entries: entries.length, epoch: position.epoch, sequence: position.sequence });
    await this.#reign(fleet, position.sequence, []);
  }

  async #reign(fleet: string, sequence: number, sessions: readonly Session[], build?: (draft: Draft) => void): Promise<void> {
    const { epochs } = this.#ports;
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
        build?.(draft);
        return true;
      },
      { empty: true },
    );
    this.#authority = authority;
    for (const known of this.#offers.splice(0))
      known.refuse(new MusterError("roll/try-again", "the directory reigns now", { next: "attach again" }));
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
        if (known.kind === "agent")
          await this.#raiseHost(admit, false).catch((thrown: unknown) => {
            // It was told of a refusal, so those on its way will not tell of its end.
            this.attendance.left(known.id, admit.counter);
            throw thrown;
          });
        return known.id;
      }
      if (live && admit.kind === "agent" && known.kind === "agent" && known.name === admit.name) {
        if (this.attendance.get(known.id)?.state === "attached")
          throw new MusterError("roll/host-name-taken", `another agent is attached for the host "${admit.name}"`, {
            next: "give this host another name (--host), or stop the other agent",
          });
        this.attendance.forget(known.id);
        await authority.endSession(known.id);
      }
    }
    if (admit.kind === "agent") await this.#raiseHost(admit, true);
    const session = await authority.admit(admit);
    this.attendance.attached(session.id, admit.counter, via);
    this.#ports.telemetry.log("info", "admitted", { kind: admit.kind, name: admit.name, session: session.id });
    return session.id;
  }

  /**
   * Makes a host valid, in an order in which nothing dead shows for a moment: first the entries of programs that a new
   * agent does not know, then the rows of the instances whose primary has moved, last the host itself.
   */
  async #raiseHost(admit: Admit, newAgent: boolean): Promise<void> {
    const authority = this.#need();
    const { replica } = this.#ports;
    const down = replica.row(tableNumbers.hosts, admit.name)?.flag === false;
    const rows = this.#placesOn(authority.draft, admit.name);
    if (down && newAgent)
      await this.#inChunks(rows, (draft, place, row) => {
        if (row.incarnation > 0 && row.valid && watcherOfOwner(row.owner) === admit.name)
          draft.setValid(place.table, place.key, row, false);
      });
    // Decided anew until nothing is left to re-order: meanwhile another host may have come back and taken a primary's place.
    for (let raised = false; !raised; )
      await authority.duty((draft) => {
        // As decided by now: the host may have been given up while this was under way.
        if (draft.row(tableNumbers.hosts, admit.name)?.valid === false) this.#reorder(admit.name, draft);
        raised = draft.effects.length === 0;
        if (raised) writeHost(draft, admit, replica);
        return true;
      });
  }

  /** Puts servers of a returning host behind the members that took over from them; at most 50 rows a change. */
  #reorder(host: string, draft: Draft): void {
    const { replica } = this.#ports;
    for (const { table: number, key } of this.#placesOn(draft, host)) {
      const table = replica.tableByNumber(number);
      const decided = draft.row(number, key);
      if (table === undefined || decided?.valid !== true || instanceOf(key) === undefined) continue;
      joinInstance(this.#need(), table, key, decided.text, true);
      if (draft.effects.length >= 50) return;
    }
  }

  /** The entries on a host, also those that were decided and are not committed yet. */
  #placesOn(draft: Draft, host: string): readonly { readonly table: number; readonly key: string }[] {
    const places = [...this.#ports.replica.rowsOnHost(host)].map(({ table, row }) => ({ table, key: row.key }));
    const known = new Set(places.map(({ table, key }) => `${table}\u0000${key}`));
    for (const { table, key, row } of draft.uncommitted())
      if (hostOfText(row.text) === host && !known.has(`${table}\u0000${key}`)) places.push({ table, key });
    return places;
  }

  /** At most 100 rows a change, on every store. */
  async #inChunks(
    places: readonly { readonly table: number; readonly key: string }[],
    write: (draft: Draft, place: { readonly table: number; readonly key: string }, row: DraftRow) => void,
  ): Promise<void> {
    for (let start = 0; start < places.length; start += 50)
      await this.#need().duty((draft) => {
        for (const place of places.slice(start, start + 50)) {
          const row = draft.row(place.table, place.key);
          if (row !== undefined) write(draft, place, row);
        }
        return true;
      });
  }

  presence(news: Presence, via: number): void {
    const authority = this.#authority;
    if (authority === undefined) return;
    const session = authority.sessions.get(news.session);
    if (session === undefined) return;
    if (news.state === "attached") {
      this.attendance.attached(news.session, news.counter, via);
      return;
    }
    if (!this.attendance.left(news.session, news.counter)) return;
    if (news.state === "gone" && session.kind !== "agent") this.#end(session);
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
    if (authority === undefined) return;
    this.#ticks++;
    this.attendance.tick();
    const { tickMs, hostGraceMs, sessionGraceMs, reapAfterMs } = this.#ports.periods;
    for (const attendant of [...this.attendance]) {
      const awayMs = attendant.ticksAway * tickMs;
      const session = authority.sessions.get(attendant.session);
      if (session === undefined) this.attendance.forget(attendant.session);
      else if (attendant.state === "left" && awayMs >= hostGraceMs) this.#giveUp(session, attendant);
      else if (attendant.state === "given-up" && awayMs >= sessionGraceMs) this.#end(session);
    }
    const reapTicks = Math.max(1, Math.ceil(Math.min(reapAfterMs / 4, 600_000) / tickMs));
    if (this.#ticks % reapTicks === 0) this.#reap(reapTicks * tickMs);
  }

  /** Silence for longer than the grace: the host's row turns invalid, and with it everything on it, in one operation. */
  #giveUp(session: Session, attendant: Attendant): void {
    attendant.state = "given-up";
    if (session.kind === "client") return;
    this.#ports.telemetry.log("warn", session.kind === "agent" ? "host-expired" : "node-expired", { name: session.name });
    const places: { table: number; key: string }[] = [];
    const { replica } = this.#ports;
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table))
        if (row.incarnation > 0 && row.flag && watcherOfOwner(row.owner) === session.name && hostOfText(row.text) !== session.name)
          places.push({ table, key: row.key });
    const duty = async () => {
      if (session.kind === "agent")
        await this.#need().duty((draft) => {
          const row = draft.row(tableNumbers.hosts, session.name);
          if (row?.valid === true && attendant.state === "given-up") draft.setValid(tableNumbers.hosts, session.name, row, false);
          return true;
        });
      await this.#inChunks(places, (draft, place, row) => {
        if (row.valid && watcherOfOwner(row.owner) === session.name) draft.setValid(place.table, place.key, row, false);
      });
    };
    duty().catch((thrown: unknown) => {
      // The store refused: the next tick tries again.
      if (attendant.state === "given-up") attendant.state = "left";
      this.#ports.telemetry.log("error", "duty-failed", { duty: "expire", reason: String(thrown) });
    });
  }

  /** Invalid bound entries whose owner has not come back for `reapAfterMs` are removed. */
  #reap(sinceMs: number): void {
    const { replica, periods } = this.#ports;
    const seen = new Map<string, number>();
    const due: { table: number; key: string }[] = [];
    for (const table of replica.tableNumbers())
      for (const row of replica.entries(table)) {
        if (row.incarnation === 0 || row.flag) continue;
        const name = `${table}\u0000${row.key}\u0000${row.sequence}`;
        const ageMs = (this.#reaping.get(name) ?? -sinceMs) + sinceMs;
        if (ageMs >= periods.reapAfterMs) due.push({ table, key: row.key });
        else seen.set(name, ageMs);
      }
    this.#reaping = seen;
    this.#inChunks(due, (draft, place, row) => {
      if (row.incarnation > 0 && !row.valid) draft.remove(place.table, place.key);
    }).catch((thrown: unknown) => this.#ports.telemetry.log("error", "duty-failed", { duty: "reap", reason: String(thrown) }));
  }

  async close(): Promise<void> {
    this.#founding?.cancel();
    await this.#authority?.close();
    await this.#ports.store.close();
  }
}

function pick(row: {
  readonly text: string;
  readonly owner: string;
  readonly incarnation: number;
  readonly epoch: number;
  readonly sequence: number;
}) {
  const { text, owner, incarnation, epoch, sequence } = row;
  return { text, owner, incarnation, epoch, sequence };
}

/** The host's row and its routes, as its agent says them; routes that it no longer names are removed. */
function writeHost(draft: Draft, admit: Admit, replica: Replica): void {
  const known = draft.row(tableNumbers.hosts, admit.name);
  const text =
    admit.routes.length === 0 && known !== undefined ? known.text : JSON.stringify({ routes: admit.routes.length, ...admit.attributes });
  if (known === undefined || known.text !== text || !known.valid)
    draft.put(tableNumbers.hosts, admit.name, { text, valid: true, owner: "", incarnation: 0 });
  if (admit.routes.length === 0) return;
  admit.routes.forEach((address, number) => {
    const key = `${admit.name}.${number}`;
    const route = JSON.stringify(address);
    const before = draft.row(tableNumbers.hostRoute, key);
    if (before === undefined || before.text !== route || !before.valid)
      draft.put(tableNumbers.hostRoute, key, { text: route, valid: true, owner: "", incarnation: 0 });
  });
  for (const entry of replica.search("host-route", `${admit.name}.`)) {
    const number = Number(entry.key.slice(admit.name.length + 1));
    if (Number.isInteger(number) && number >= admit.routes.length) draft.remove(tableNumbers.hostRoute, entry.key);
  }
}
