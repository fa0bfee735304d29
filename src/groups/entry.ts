import { hash } from "node:crypto";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { malformed } from "./errors.ts";
import { nameBytesMax } from "./options.ts";
import type { Outcome, RequestId } from "./ports.ts";
import { type SlotStep, readSlot, readSlotStep, writeSlotStep } from "./slot-step.ts";

/**
 * What the log orders. `opened`: the first of a takeover; with it a log that differs anywhere differs here. `request`: one write,
 * outcome included, be it an answer, an error or `abandoned`. `lease-ended`: its outcomes are forgotten, by all members alike.
 * `slot`: a step of a slot on its way from one group to another.
 */
export type EntryBody =
  /** `parting`: nobody knows that all that was answered before is in this log, or what else there was is given up (see `History`). */
  | {
      readonly kind: "opened";
      /** Identity of the data that goes on; logs of older programs do not say it. With a parting it is there. */
      readonly by?: string;
      readonly parting?: EntryParting;
    }
  | {
      readonly kind: "request";
      readonly id: RequestId;
      /** Where keys are shared among groups: what the outcome goes along with. */
      readonly slot?: number | undefined;
      /** Outcomes of this lease below it are forgotten. */
      readonly low: number;
      readonly leaseRevision: string;
      /** Of type and body; empty when nobody knew them (an `abandoned` that was asked for). */
      readonly digest: Uint8Array;
      readonly outcome: Outcome;
      readonly delta: Uint8Array;
    }
  | { readonly kind: "lease-ended"; readonly lease: string }
  | { readonly kind: "slot"; readonly step: SlotStep };

/** `by`: identity of the data that went on. */
export interface EntryParting {
  readonly by: string;
  readonly isAccepted: boolean;
}

/** Epoch and index name one entry for ever: an epoch is served by one life of one host. */
export interface Entry {
  readonly epoch: number;
  readonly index: number;
  readonly body: EntryBody;
  /** As it is sent and stored, without the index. */
  readonly bytes: Uint8Array;
}

const digestBytes = 16;
const typeEnd = Uint8Array.of(0xff);
const replicaBytes = 8;
/** A request of a slot is another kind, so that logs without slots are as they were. */
const kinds = { opened: 0, request: 1, "lease-ended": 2, openedParted: 3, slot: 4, slotRequest: 5, openedBy: 6 } as const;
const outcomeKinds = ["answer", "failed", "abandoned"] as const;
const nothing = new Uint8Array();

export function digestOf(type: string, body: Uint8Array): Uint8Array {
  // The type ends with a byte that no UTF-8 text contains, so no two requests run into one another.
  return hash("sha256", Buffer.concat([Buffer.from(type), typeEnd, body]), "buffer").subarray(0, digestBytes);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function writeOutcome(writer: ByteWriter, outcome: Outcome): void {
  writer.u8(outcomeKinds.indexOf(outcome.kind));
  const bytes = outcome.kind === "abandoned" ? nothing : outcome.bytes;
  writer.varint(bytes.length);
  writer.bytes(bytes);
}

export function readOutcome(reader: ByteReader): Outcome {
  const kind = outcomeKinds[reader.u8()];
  const bytes = reader.bytes(reader.varint());
  if (kind === undefined) throw malformed("an outcome of an unknown kind");
  return kind === "abandoned" ? { kind } : { kind, bytes };
}

const scratch = (): ByteWriter => new ByteWriter(256);

export function makeEntry(epoch: number, index: number, body: EntryBody, writer = scratch()): Entry {
  const parting = body.kind === "opened" ? body.parting : undefined;
  writer.u8(kinds[kindOf(body)]);
  writer.varint(epoch);
  switch (body.kind) {
    case "opened":
      if (parting !== undefined) {
        writer.bytes(Buffer.from(parting.by, "hex"));
        writer.u8(parting.isAccepted ? 1 : 0);
      } else if (body.by !== undefined) writer.bytes(Buffer.from(body.by, "hex"));
      break;
    case "request":
      if (body.slot !== undefined) writer.varint(body.slot);
      writer.string(body.id.lease);
      writer.varint(body.id.sequence);
      writer.varint(body.low);
      writer.string(body.leaseRevision);
      writer.u8(body.digest.length);
      writer.bytes(body.digest);
      writeOutcome(writer, body.outcome);
      writer.varint(body.delta.length);
      writer.bytes(body.delta);
      break;
    case "lease-ended":
      writer.string(body.lease);
      break;
    case "slot":
      writeSlotStep(writer, body.step);
      break;
  }
  return { epoch, index, body, bytes: writer.take() };
}

function kindOf(body: EntryBody): keyof typeof kinds {
  if (body.kind === "opened" && body.parting !== undefined) return "openedParted";
  if (body.kind === "opened" && body.by !== undefined) return "openedBy";
  return body.kind === "request" && body.slot !== undefined ? "slotRequest" : body.kind;
}

/** Reads one entry; keeps a copy of its bytes. Throws `groups/malformed` or `wire/*`. */
export function readEntry(index: number, bytes: Uint8Array): Entry {
  const own = Buffer.from(bytes);
  const reader = new ByteReader(own);
  const kind = reader.u8();
  const epoch = reader.varint();
  const body = readBody(kind, reader);
  reader.end();
  return { epoch, index, body, bytes: own };
}

function readBody(kind: number, reader: ByteReader): EntryBody {
  switch (kind) {
    case kinds.opened:
      return { kind: "opened" };
    case kinds.openedBy:
      return { kind: "opened", by: reader.bytes(replicaBytes).toString("hex") };
    case kinds.openedParted: {
      const by = reader.bytes(replicaBytes).toString("hex");
      return { kind: "opened", parting: { by, isAccepted: reader.u8() === 1 } };
    }
    case kinds.request:
    case kinds.slotRequest: {
      const slot = kind === kinds.slotRequest ? { slot: readSlot(reader) } : {};
      const lease = readName(reader);
      const sequence = reader.varint();
      const low = reader.varint();
      const leaseRevision = readName(reader);
      const length = reader.u8();
      if (length !== 0 && length !== digestBytes) throw malformed("a digest of another length");
      const digest = reader.bytes(length);
      const outcome = readOutcome(reader);
      const delta = reader.bytes(reader.varint());
      return { kind: "request", id: { lease, sequence }, ...slot, low, leaseRevision, digest, outcome, delta };
    }
    case kinds["lease-ended"]:
      return { kind: "lease-ended", lease: readName(reader) };
    case kinds.slot:
      return { kind: "slot", step: readSlotStep(reader) };
    default:
      throw malformed("an entry of an unknown kind");
  }
}

export function readName(reader: ByteReader): string {
  const name = reader.string();
  if (Buffer.byteLength(name) > nameBytesMax) throw malformed("a name is too long");
  return name;
}
