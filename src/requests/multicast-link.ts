import { MusterError } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import { message, nothing } from "./messages.ts";
import type { Ears, HearingLink } from "./multicast-ears.ts";
import {
  type MulticastEntry,
  type MulticastRequest,
  encodeHeard,
  heardMessage,
  listeningMessage,
  messageFor,
  parseSaid,
  parseVoice,
} from "./multicast-wire.ts";
import { SequenceWindow } from "./multicast-window.ts";
import type { ServedTarget } from "./served-target.ts";

export interface LinkEarPorts {
  /** Undefined where there are no datagrams. */
  readonly ears: Ears | undefined;
  readonly target: (table: string, instance: string, type: string, sequence: number) => ServedTarget;
  /** The same with the declarations as they are now. */
  readonly current: (target: ServedTarget) => ServedTarget;
  /** As if the link had brought it. */
  readonly request: (target: ServedTarget, bytes: Uint8Array) => void;
}

const targetsMax = 64;

/** A link of a caller that also speaks by datagrams: which of those have come, and what they ask. */
export class LinkEar implements HearingLink {
  readonly own: string;
  readonly #link: Link;
  readonly #ports: LinkEarPorts;
  #window: SequenceWindow | undefined;
  #stop: (() => void) | undefined;
  readonly #targets = new Map<string, ServedTarget>();

  constructor(link: Link, ports: LinkEarPorts) {
    this.own = link.local.kind === "tcp" ? link.local.host : "";
    this.#link = link;
    this.#ports = ports;
  }

  /** The caller wants to be listened to. */
  listen(body: Uint8Array): void {
    const { ears } = this.#ports;
    const voice = parseVoice(body);
    if (ears === undefined || this.#window !== undefined) return;
    this.#window = new SequenceWindow();
    this.#stop = ears.add(voice, this);
  }

  /** A message that the link brings and a datagram may have brought; undefined when that is so. */
  said(bytes: Uint8Array): { readonly kind: number; readonly body: Uint8Array } | undefined {
    const { sequence, kind, body } = parseSaid(bytes);
    const isFirst = this.#isFirst(sequence);
    // A cancel is meant for what has come, and keeps away what has not.
    return kind === message.cancel || (kind === message.request && isFirst) ? { kind, body } : undefined;
  }

  stop(): void {
    this.#stop?.();
  }

  listens(): void {
    this.#link.send(listeningMessage, nothing);
  }

  hear(sequence: number): boolean {
    if (!this.#isFirst(sequence)) return false;
    this.#link.send(heardMessage, encodeHeard(sequence));
    return true;
  }

  /** Whether neither the datagram of that number nor its copy over the link has come before. */
  #isFirst(sequence: number): boolean {
    return this.#window?.take(sequence) ?? true;
  }

  ask(request: MulticastRequest, entry: MulticastEntry): void {
    try {
      this.#ports.request(this.#targetOf(request, entry), messageFor(request, entry));
    } catch (thrown) {
      // On a link that would be its end; a datagram is only passed over.
      if (!(thrown instanceof MusterError)) throw thrown;
    }
  }

  #targetOf({ table, type, declaration }: MulticastRequest, { server }: MulticastEntry): ServedTarget {
    const name = `${table}\u0000${server}\u0000${type}\u0000${declaration}`;
    const known = this.#targets.get(name);
    const target = known === undefined ? this.#ports.target(table, server, type, declaration) : this.#ports.current(known);
    if (target === known) return target;
    if (this.#targets.size >= targetsMax) this.#targets.clear();
    this.#targets.set(name, target);
    return target;
  }
}
