import { isIPv4 } from "node:net";
import { type Clock, type Telemetry, errorOf } from "../kernel/index.ts";
import type { DatagramSocket, Datagrams } from "../transport/index.ts";
import { metricNames } from "./metrics.ts";
import {
  type MulticastEntry,
  type MulticastRequest,
  type VoiceMessage,
  VoiceSeal,
  parseMulticast,
  requestGroup,
  voiceOf,
} from "./multicast-wire.ts";

/** One caller's link, as far as datagrams go. */
export interface HearingLink {
  /** The own address of the link: datagrams come over the same network. */
  readonly own: string;
  /** The group was joined. */
  listens(): void;
  /** A call has come under that number. */
  hear(sequence: number): void;
  /** Asked by datagram, exactly as if it had come over this link. False when the number has come before, or it asks for what cannot be. */
  ask(sequence: number, request: MulticastRequest, entry: MulticastEntry): boolean;
}

/** A caller's voice, and its links here by the number that it gave them. */
interface KnownVoice {
  readonly key: string;
  readonly seal: VoiceSeal;
  readonly links: Map<number, HearingLink>;
}

const addressesMax = 16;
/** Whoever is asked to listen after this long joins anew: an interface that was gone has forgotten that it had joined. */
const rejoinMs = 10_000;

/**
 * A server's ear for datagrams: joins the group on the networks of the links over which callers ask it to, and hands what comes to the
 * link that is named in it. Whoever is not named ignores it; so does everybody who has no link to its caller.
 */
export class Ears {
  readonly #clock: Clock;
  readonly #datagrams: Datagrams;
  readonly #telemetry: Telemetry;
  readonly #voices = new Map<string, KnownVoice>();
  /** Own addresses, and when each was joined last. */
  readonly #own = new Map<string, number>();
  #socket: DatagramSocket | undefined;
  /** Joining goes one after the other. */
  #joining: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(ports: { readonly clock: Clock; readonly datagrams: Datagrams; readonly telemetry: Telemetry }) {
    this.#clock = ports.clock;
    this.#datagrams = ports.datagrams;
    this.#telemetry = ports.telemetry;
  }

  /** The returned function ends it. */
  add({ voice, key, ear }: VoiceMessage, link: HearingLink): () => void {
    const known = this.#voices.get(voice) ?? { key, seal: new VoiceSeal(key), links: new Map<number, HearingLink>() };
    // The name of a voice is no secret, its key is.
    if (this.#closed || known.key !== key || known.links.has(ear) || !isIPv4(link.own)) return () => {};
    this.#voices.set(voice, known);
    known.links.set(ear, link);
    this.#joining = this.#joining.then(async () => {
      await this.#join(link.own);
      if (known.links.get(ear) === link && this.#socket !== undefined && this.#own.has(link.own)) link.listens();
    });
    return () => {
      known.links.delete(ear);
      if (known.links.size === 0) this.#voices.delete(voice);
    };
  }

  close(): void {
    this.#closed = true;
    this.#socket?.close();
    this.#voices.clear();
  }

  async #join(own: string): Promise<void> {
    const { join } = this.#datagrams;
    const nowMonoMs = this.#clock.monoMs();
    const joinedMonoMs = this.#own.get(own);
    if (this.#closed || join === undefined) return;
    if (joinedMonoMs === undefined ? this.#own.size >= addressesMax : nowMonoMs < joinedMonoMs + rejoinMs) return;
    const all = [...new Set([...this.#own.keys(), own])];
    try {
      const socket = await join.call(this.#datagrams, requestGroup, all, (bytes) => this.#receive(bytes));
      // The former one hears until then; what both hear counts once.
      this.#socket?.close();
      if (this.#closed) socket.close();
      else {
        this.#socket = socket;
        for (const address of all) this.#own.set(address, nowMonoMs);
      }
    } catch (thrown) {
      this.#telemetry.log("info", "multicast-not-heard", { address: own, why: errorOf(thrown).message });
    }
  }

  #receive(bytes: Uint8Array): void {
    const known = this.#voices.get(voiceOf(bytes) ?? "");
    if (known === undefined) return;
    const said = parseMulticast(bytes, known.seal);
    if (said === undefined) return;
    const { sequence, body } = said;
    if (body.kind === "call") for (const ear of body.ears) known.links.get(ear)?.hear(sequence);
    else
      for (const entry of body.entries) {
        const link = known.links.get(entry.ear);
        if (link?.ask(sequence, body, entry) === true) this.#telemetry.count(metricNames.multicastHeard);
      }
  }
}
