import { type Clock, MusterError } from "../kernel/index.ts";
import type { Link } from "../link/index.ts";
import type { Replica, StagedLoad } from "../tables/index.ts";
import type { Child } from "./child.ts";
import type { Directory } from "./directory.ts";
import type { Epochs } from "./epochs.ts";
import { everything } from "./interest.ts";
import { OutgoingLoad, readLoadPart } from "./load.ts";
import { decodeJson, encodeJson, message, parseEpochs } from "./messages.ts";
import { defaultLimits } from "./options.ts";

const bufferedBytesMax = 1024 * 1024;

/**
 * How a directory that lost its store gets its fleet's roll back, and deletes nothing: nodes of the fleet offer what they
 * hold, the most advanced is asked for all of it, and the directory begins a higher epoch on top.
 */
export class Adoption {
  readonly #clock: Clock;
  readonly #replica: Replica;
  readonly #epochs: Epochs;
  readonly #directory: Directory | undefined;
  readonly #link: () => Link | undefined;
  readonly #offered = new Map<Child, { readonly adopt: () => void; readonly fleet: string }>();
  #load: { readonly child: Child; readonly staged: StagedLoad } | undefined;

  constructor(options: {
    readonly clock: Clock;
    readonly replica: Replica;
    readonly epochs: Epochs;
    readonly directory: Directory | undefined;
    readonly link: () => Link | undefined;
  }) {
    this.#clock = options.clock;
    this.#replica = options.replica;
    this.#epochs = options.epochs;
    this.#directory = options.directory;
    this.#link = options.link;
  }

  // The directory's side.

  offered(child: Child, body: Readonly<Record<string, unknown>>): void {
    const { fleet, epoch, sequence } = body;
    if (this.#directory === undefined || typeof fleet !== "string" || typeof epoch !== "number" || typeof sequence !== "number")
      throw new MusterError("roll/bad-message", "an offer names a fleet and a position");
    const adopt = () => child.link.send(message.adopt, encodeJson({}));
    this.#offered.set(child, { adopt, fleet });
    const offer = { fleet, epoch, sequence, seen: child.hello.epoch };
    this.#directory.offered(offer, adopt, (error) => child.link.close(error));
  }

  received(child: Child, kind: number, body: Uint8Array): void {
    const offer = this.#offered.get(child);
    if (offer === undefined || this.#directory === undefined) throw new MusterError("roll/bad-message", "nobody asked for a replica");
    if (kind === message.loadBegin && this.#load !== undefined) throw new MusterError("roll/bad-load", "a replica is on its way already");
    if (kind === message.loadBegin) this.#load = { child, staged: this.#replica.beginLoad([{ table: "all", prefix: "" }]) };
    if (this.#load === undefined || this.#load.child !== child) throw new MusterError("roll/bad-load", "a replica that was not begun");
    this.#directory.adoptionGoesOn();
    if (kind === message.loadPart) readLoadPart(body, this.#load.staged);
    if (kind !== message.loadEnd) return;
    const end = decodeJson(body);
    this.#load.staged.finish(Number(end["epoch"]), Number(end["sequence"]));
    this.#load = undefined;
    this.#epochs.replace(parseEpochs(end["epochs"]));
    this.#directory.adopt(offer.fleet);
  }

  gone(child: Child): void {
    const offer = this.#offered.get(child);
    if (offer === undefined) return;
    this.#offered.delete(child);
    if (this.#load?.child === child) {
      this.#load.staged.abandon();
      this.#load = undefined;
    }
    this.#directory?.withdrawn(offer.adopt);
  }

  // The other side: hands the whole replica up.

  upload(): void {
    const link = this.#link();
    if (link === undefined) return;
    const load = new OutgoingLoad({ replica: this.#replica, ranges: everything, keepBelow: 0, partBytes: defaultLimits.loadPartBytes });
    link.send(message.loadBegin, encodeJson({ ranges: everything }));
    const step = () => {
      if (!link.isOpen) return;
      while (link.bufferedBytes < bufferedBytesMax) {
        const part = load.next();
        if (part === undefined) {
          // Nothing changes here meanwhile: a node without a directory takes no changes.
          link.send(message.loadEnd, encodeJson({ ...this.#replica.position, epochs: this.#epochs.starts }));
          return;
        }
        link.send(message.loadPart, part);
      }
      this.#clock.schedule(5, step);
    };
    step();
  }
}
