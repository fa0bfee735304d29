import { isIPv4 } from "node:net";
import { type Clock, type Random, type Telemetry, type Timer, errorOf } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import type { DatagramSocket, Datagrams } from "../transport/index.ts";
import type { Channel } from "./channel.ts";
import { metricNames } from "./metrics.ts";
import { Hearing } from "./multicast-hearing.ts";
import { type MulticastBody, VoiceSeal, encodeMulticast, encodeVoice, requestGroup, sequenceMax, voiceMessage } from "./multicast-wire.ts";

export interface VoicePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: Telemetry;
  readonly datagrams: Datagrams;
}

/** What a caller's datagrams are known by. */
interface Identity {
  readonly voice: string;
  readonly key: string;
  readonly seal: VoiceSeal;
}

/** A server at the other end of a channel, as far as datagrams go. */
export interface Ear {
  readonly number: number;
  readonly channel: Channel;
  /** The network that both are on. */
  readonly network: Network;
  readonly hearing: Hearing;
  isListening: boolean;
  /** The call that asked whether it hears; 0 before the first. */
  call: number;
}

/** Those that are reached from one own address. */
interface Network {
  readonly own: string;
  socket: DatagramSocket | undefined;
  /** When it was bound, or could not be, last. */
  boundMonoMs: number;
  readonly called: Set<Ear>;
  timer: Timer | undefined;
}

/** Servers that begin to listen at about the same time are called together. */
const callAfterMs = 5;
const networksMax = 16;
/** A call names so many ears at most. */
const calledMax = 250;
/** A socket is this old before a call makes a new one: the interface may have gone and come back meanwhile, and the socket would not follow. */
const renewMs = 10_000;

/**
 * A caller's datagrams: one socket for each own address over which its connections go, and what is known of who hears them. Each caller
 * has a key of its own, which a server is told over the link: so a program needs no secret of the fleet, and whoever is asked by
 * datagram is somebody who could be asked by link.
 */
export class Voice {
  readonly #ports: VoicePorts;
  /** Made when it is first needed: few programs ask several servers at once. */
  #identity: Identity | undefined;
  readonly #networks = new Map<string, Network>();
  readonly #ears = new WeakMap<Channel, Ear>();
  #lastEar = 0;
  #sequence = 0;
  #closed = false;

  constructor(ports: VoicePorts) {
    this.#ports = ports;
  }

  /** The server behind a connection that stands, if it is known to hear; else it is found out, for the next time. */
  earOf(channel: Channel, link: Link, nowMonoMs: number): Ear | undefined {
    const ear = this.#ears.get(channel) ?? this.#introduce(channel, link);
    if (ear === undefined || ear.hearing.isOn) return ear;
    if (ear.isListening) this.#call(ear, nowMonoMs);
    return undefined;
  }

  listening(channel: Channel): void {
    const ear = this.#ears.get(channel);
    if (ear === undefined) return;
    ear.isListening = true;
    this.#call(ear, this.#ports.clock.monoMs());
  }

  /** A server says that a datagram has come. */
  heard(channel: Channel, sequence: number): void {
    const ear = this.#ears.get(channel);
    if (ear !== undefined && ear.call > 0 && sequence === ear.call) ear.hearing.confirmed();
  }

  /** To everybody who listens on that network; its number, or undefined when nothing can be sent there. */
  say(network: Network, body: MulticastBody): number | undefined {
    const { socket } = network;
    if (socket === undefined || this.#closed || this.#sequence >= sequenceMax) return undefined;
    const { voice, seal } = this.#self();
    const sequence = ++this.#sequence;
    socket.send(encodeMulticast(voice, sequence, body, seal), requestGroup);
    this.#ports.telemetry.count(metricNames.datagrams, 1, { kind: body.kind });
    return sequence;
  }

  close(): void {
    this.#closed = true;
    for (const { socket, timer } of this.#networks.values()) {
      timer?.cancel();
      socket?.close();
    }
    this.#networks.clear();
  }

  /** The server is asked to listen. Undefined where there is no multicast to think of. */
  #introduce(channel: Channel, link: Link): Ear | undefined {
    const { local, peer } = link;
    if (local.kind !== "tcp" || peer.kind !== "tcp" || !isIPv4(local.host) || !isIPv4(peer.host)) return undefined;
    const network = this.#networkOf(local.host);
    if (network === undefined) return undefined;
    const number = ++this.#lastEar;
    const ear: Ear = { number, channel, network, hearing: new Hearing(), isListening: false, call: 0 };
    this.#ears.set(channel, ear);
    const { voice, key } = this.#self();
    link.send(voiceMessage, encodeVoice({ voice, key, ear: number }));
    return undefined;
  }

  #self(): Identity {
    if (this.#identity === undefined) {
      const { random } = this.#ports;
      const key = random.hex(64);
      this.#identity = { voice: random.hex(16), key, seal: new VoiceSeal(key) };
    }
    return this.#identity;
  }

  #networkOf(own: string): Network | undefined {
    const known = this.#networks.get(own);
    if (known !== undefined || this.#networks.size >= networksMax) return known;
    const network: Network = { own, socket: undefined, boundMonoMs: Number.NEGATIVE_INFINITY, called: new Set(), timer: undefined };
    this.#networks.set(own, network);
    return network;
  }

  #call(ear: Ear, nowMonoMs: number): void {
    const { network, hearing } = ear;
    if (this.#closed || network.called.size >= calledMax || !hearing.mayAsk(nowMonoMs)) return;
    network.called.add(ear);
    network.timer ??= this.#ports.clock.schedule(callAfterMs, () => {
      network.timer = undefined;
      void this.#callAll(network);
    });
  }

  async #callAll(network: Network): Promise<void> {
    await this.#open(network);
    const called = [...network.called].filter(({ channel }) => !channel.hasEnded);
    network.called.clear();
    if (called.length === 0) return;
    const sequence = this.say(network, { kind: "call", ears: called.map(({ number }) => number) });
    if (sequence !== undefined) for (const ear of called) ear.call = sequence;
  }

  async #open(network: Network): Promise<void> {
    const { clock, datagrams, telemetry } = this.#ports;
    const nowMonoMs = clock.monoMs();
    if (nowMonoMs < network.boundMonoMs + renewMs) return;
    network.boundMonoMs = nowMonoMs;
    try {
      const socket = await datagrams.bind({ host: network.own, port: 0 }, () => {});
      network.socket?.close();
      network.socket = socket;
      if (this.#closed) socket.close();
    } catch (thrown) {
      telemetry.log("info", "no-multicast", { address: network.own, why: errorOf(thrown).message });
    }
  }
}
