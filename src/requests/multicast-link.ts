import { MusterError } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import { requestHeadBytes } from "./message-layout.ts";
import { attemptOf, idOf, message, nothing } from "./messages.ts";
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
  /** As if the link had brought it. Throws a MusterError for what a datagram cannot ask. */
  readonly request: (target: ServedTarget, bytes: Uint8Array) => void;
}

const targetsMax = 64;
/** A copy over the link follows its datagram within milliseconds: so many are not said meanwhile. */
const broughtMax = 1024;

/** A link of a caller that also speaks by datagrams: which of those have come, and what they ask. */
export class LinkEar implements HearingLink {
  readonly own: string;
  readonly #link: Link;
  readonly #ports: LinkEarPorts;
  #window: SequenceWindow | undefined;
  #stop: (() => void) | undefined;
  /** What datagrams have brought lately, by number, request and attempt, oldest first. */
  readonly #brought = new Set<string>();
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
    if (kind !== message.cancel && kind !== message.request) return undefined;
    // Its datagram comes too late from now on.
    this.#window?.take(sequence);
    // A cancel is meant for what has come, and keeps away what has not.
    if (kind === message.cancel || body.length < requestHeadBytes) return { kind, body };
    // The number alone proves nothing: whoever knows the key can have said it about something else.
    return this.#brought.has(nameOf(sequence, idOf(body), attemptOf(body))) ? undefined : { kind, body };
  }

  stop(): void {
    this.#stop?.();
  }

  listens(): void {
    this.#link.send(listeningMessage, nothing);
  }

  hear(sequence: number): void {
    if (this.#window?.take(sequence) !== false) this.#link.send(heardMessage, encodeHeard(sequence));
  }

  ask(sequence: number, request: MulticastRequest, entry: MulticastEntry): boolean {
    if (this.#window?.has(sequence) === true) return false;
    try {
      this.#ports.request(this.#targetOf(request, entry), messageFor(request, entry));
    } catch (thrown) {
      // On a link that would be its end; a datagram is only passed over, as if it had not come.
      if (thrown instanceof MusterError) return false;
      throw thrown;
    }
    this.hear(sequence);
    this.#note(nameOf(sequence, entry.id >>> 0, entry.attempt));
    return true;
  }

  #note(name: string): void {
    this.#brought.add(name);
    if (this.#brought.size <= broughtMax) return;
    for (const oldest of this.#brought) {
      this.#brought.delete(oldest);
      return;
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

function nameOf(sequence: number, id: number, attempt: number): string {
  return `${sequence} ${id} ${attempt}`;
}
