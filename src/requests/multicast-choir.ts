import type { Clock, Telemetry, Timer } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import type { Channel } from "./channel.ts";
import type { Lane, LaneType } from "./lane.ts";
import { MessageWriter } from "./message-writer.ts";
import { metricNames } from "./metrics.ts";
import {
  type MulticastEntry,
  entryBytes,
  heardMessage,
  listeningMessage,
  multicastBytesMax,
  parseHeard,
  requestBytes,
  voiceVersion,
} from "./multicast-wire.ts";
import type { Ear, Voice } from "./multicast-voice.ts";
import type { RequestEffect } from "./options.ts";
import type { PendingRequest } from "./pending-table.ts";

/** One copy of a request on its way to one server. */
export interface Copy {
  readonly request: PendingRequest;
  readonly lane: Lane;
  readonly channel: Channel;
  readonly link: Link;
  readonly type: LaneType;
  readonly attempt: number;
  readonly effect: RequestEffect;
  readonly leftMs: number;
  /** Its server is to say when it begins: of pairs, which are no matter for datagrams. */
  readonly tells: boolean;
}

/** A copy whose server hears datagrams. */
interface Voiced extends Copy {
  readonly ear: Ear;
  isHeard: boolean;
}

/** What one datagram has said, until all of its servers have heard it or have got a copy over their link. */
interface Said {
  readonly sequence: number;
  readonly copies: readonly Voiced[];
  readonly dueMonoMs: number;
  unheard: number;
  timer: Timer | undefined;
}

export interface ChoirPorts {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly voice: Voice;
  /** From so many servers on; 3 at least, 8 by default. */
  readonly from: number | undefined;
  /** Sends the copy over its link; `sequence`: a datagram of that number may have brought it. */
  readonly overLink: (copy: Copy, sequence: number | undefined) => void;
}

/** One datagram to fewer servers spares too little to pay for what it adds: an acknowledgement each, and a timer. */
const voicedMin = 3;
/** What is asked of fewer servers in all goes by links, which are no slower then, unless the program says otherwise. */
const fromDefault = 8;
/** How long a server may take to say that it has heard: three ways there and back, and what a busy loop takes. */
const patienceMsMin = 4;
const patienceMsMax = 40;
const patienceRoundTrips = 3;
/** A timer that is so late was held up by this program itself, and so was what has come meanwhile. */
const ownLatenessMs = 2;
const readOnMs = 1;

/**
 * What is asked of several servers at once goes out as one datagram a network, to those that are known to hear it; the others get their
 * copy over the link, and so does each that does not say in time that it has heard. Which of the two comes is no difference for
 * anybody: a server takes the first and passes the other over.
 */
export class Choir {
  readonly #ports: ChoirPorts;
  readonly #writer = new MessageWriter();
  readonly #said = new Map<number, Said>();
  #copies: Copy[] | undefined;

  constructor(ports: ChoirPorts) {
    this.#ports = ports;
  }

  /** Whether what is sent now may go out together. */
  get isOpen(): boolean {
    return this.#copies !== undefined;
  }

  /** What `act` sends, as far as datagrams can carry it, goes out together when it returns. */
  together(act: () => void): void {
    if (this.#copies !== undefined) {
      act();
      return;
    }
    const copies: Copy[] = [];
    this.#copies = copies;
    try {
      act();
    } finally {
      this.#copies = undefined;
      if (copies.length > 0) this.#say(copies);
    }
  }

  /** Whether the copy goes out when all are there; if not, it is to be sent over its link. */
  take(copy: Copy): boolean {
    // A character is at least a byte.
    const isFit = !copy.tells && copy.effect !== "write" && copy.request.body.length <= multicastBytesMax;
    if (this.#copies === undefined || !isFit || copy.link.version < voiceVersion) return false;
    this.#copies.push(copy);
    return true;
  }

  /** What servers say about datagrams. False when the message is about something else. */
  received(channel: Channel, kind: number, body: Uint8Array): boolean {
    if (kind === heardMessage) this.#heard(channel, parseHeard(body));
    else if (kind === listeningMessage) this.#ports.voice.listening(channel);
    else return false;
    return true;
  }

  #heard(channel: Channel, sequence: number): void {
    this.#ports.voice.heard(channel, sequence);
    const said = this.#said.get(sequence);
    if (said === undefined) return;
    for (const copy of said.copies)
      if (copy.channel === channel && !copy.isHeard) {
        copy.isHeard = true;
        copy.ear.hearing.arrived();
        said.unheard--;
      }
    if (said.unheard === 0) this.#forget(said);
  }

  close(): void {
    for (const said of [...this.#said.values()]) this.#forget(said);
    this.#ports.voice.close();
  }

  #say(copies: readonly Copy[]): void {
    const { clock, voice, overLink, from = fromDefault } = this.#ports;
    const nowMonoMs = clock.monoMs();
    const isMany = copies.length >= Math.max(voicedMin, from);
    const voiced: Voiced[] = [];
    for (const copy of copies.filter(isAwaited)) {
      const ear = isMany ? voice.earOf(copy.channel, copy.link, nowMonoMs) : undefined;
      if (ear === undefined) overLink(copy, undefined);
      else voiced.push({ ...copy, ear, isHeard: false });
    }
    const bodies = [...new Set(voiced.map(({ request }) => request.body))];
    for (const alike of Map.groupBy(voiced, (copy) => groupOf(copy, bodies.indexOf(copy.request.body))).values()) {
      if (alike.length >= voicedMin) this.#sayAlike(alike);
      else for (const copy of alike) overLink(copy, undefined);
    }
  }

  /** All of these carry the same question on the same network: they differ in whom they ask. */
  #sayAlike(copies: readonly Voiced[]): void {
    const [first] = copies;
    if (first === undefined) return;
    const { request, lane, type, effect } = first;
    const leftMs = Math.min(...copies.map((copy) => copy.leftMs));
    const traces = new Set(copies.map(traceOf));
    const shared = {
      table: lane.table,
      type: type.name,
      declaration: type.declaration.sequence,
      trace: traces.size === 1 ? traceOf(first) : "",
      message: this.#writer.request(0, 0, effect, 0, leftMs, request.body),
    };
    for (const part of partsOf(copies, traces.size > 1, multicastBytesMax - requestBytes(shared))) {
      const together = part.map(({ copy }) => copy);
      const entries = part.map(({ entry }) => entry);
      const sequence =
        part.length < voicedMin ? undefined : this.#ports.voice.say(first.ear.network, { kind: "request", ...shared, entries });
      if (sequence === undefined) for (const copy of together) this.#ports.overLink(copy, undefined);
      else this.#await(sequence, together);
    }
  }

  #await(sequence: number, copies: readonly Voiced[]): void {
    const { clock, telemetry } = this.#ports;
    telemetry.count(metricNames.multicastAsked, copies.length);
    const farMs = Math.max(...copies.map(({ channel }) => channel.roundTrip.leastMs));
    const patienceMs = Math.min(patienceMsMax, patienceMsMin + (Number.isFinite(farMs) ? patienceRoundTrips * farMs : 0));
    const said: Said = { sequence, copies, dueMonoMs: clock.monoMs() + patienceMs, unheard: copies.length, timer: undefined };
    for (const { request, attempt } of copies) {
      request.said ??= new Map();
      request.said.set(attempt, sequence);
    }
    this.#said.set(sequence, said);
    said.timer = clock.schedule(patienceMs, () => this.#due(said));
  }

  #due(said: Said): void {
    const { clock } = this.#ports;
    const nowMonoMs = clock.monoMs();
    if (nowMonoMs > said.dueMonoMs + ownLatenessMs) said.timer = clock.schedule(readOnMs, () => this.#repeat(said));
    else this.#repeat(said);
  }

  /** Whoever has not said that it has heard gets its copy over the link. */
  #repeat(said: Said): void {
    const { clock, telemetry, overLink } = this.#ports;
    this.#forget(said);
    const nowMonoMs = clock.monoMs();
    for (const copy of said.copies) {
      if (copy.isHeard || !isAwaited(copy)) continue;
      copy.ear.hearing.missed(nowMonoMs);
      telemetry.count(metricNames.multicastRepeated);
      overLink(copy, said.sequence);
    }
  }

  #forget(said: Said): void {
    said.timer?.cancel();
    this.#said.delete(said.sequence);
  }
}

/** One datagram holds what has the same name here. */
function groupOf({ ear, lane, type, effect }: Voiced, body: number): string {
  return [ear.network.own, lane.table, type.name, type.declaration.sequence, effect, body].join("\u0000");
}

/** The request still waits for what this copy comes to, over the connection that it was meant for. */
function isAwaited({ request, lane, channel, link, attempt }: Copy): boolean {
  if (request.hasEnded || channel.link !== link || request.effect === "write") return false;
  return request.attempt === attempt ? request.lane === lane && request.sent : request.copies?.spareOf(attempt)?.lane === lane;
}

function traceOf({ request }: Copy): string {
  return request.carried?.text ?? "";
}

/** What goes into one datagram. */
interface Part {
  readonly items: { readonly copy: Voiced; readonly entry: MulticastEntry }[];
  readonly ears: Set<Ear>;
  freeBytes: number;
}

/** As many as fit into a datagram each; no server twice in one, because its numbers tell a server which have come. */
function partsOf(copies: readonly Voiced[], withTrace: boolean, freeBytes: number): readonly Part["items"][] {
  const parts: Part[] = [];
  for (const copy of copies) {
    const { ear, request, attempt, lane } = copy;
    const entry = { ear: ear.number, id: request.id, attempt, server: lane.instance, trace: withTrace ? traceOf(copy) : "" };
    const bytes = entryBytes(entry);
    let part = parts.find((one) => one.freeBytes >= bytes && !one.ears.has(ear));
    if (part === undefined) {
      part = { items: [], ears: new Set(), freeBytes };
      parts.push(part);
    }
    part.items.push({ copy, entry });
    part.ears.add(ear);
    part.freeBytes -= bytes;
  }
  return parts.map(({ items }) => items);
}
