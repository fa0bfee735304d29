import { createHash } from "node:crypto";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { type ProbeSeal, macBytes } from "./seal.ts";

/** Every probe is shorter: it crosses any network in one piece. */
export const probeBytesMax = 200;

const magic = 0x4d;
const version = 1;
const nameBytesMax = 64;
const addressBytesMax = 46;
const bytesMin = 3 + 1 + 8 + 4 + macBytes;

/** What every message says of its sender. */
export interface ProbeHead {
  /** Of the sender: its host, or the name of a relay or directory; `probeName`. */
  readonly name: string;
  /** The sender's own route that it leaves by. */
  readonly route: number;
  /** Which of the sender's peers it takes the receiver for: random, one for each pair and life. 0: a stranger's. */
  readonly tag: number;
  /** Grows with every message of that tag; together with it the nonce that the receiver echoes. */
  readonly number: number;
  /** The newest nonce that the sender has from the receiver; 0 and 0 when it has none. */
  readonly echoTag: number;
  readonly echoNumber: number;
  /** The sender's position in the order of changes: a missed change is found within a period. */
  readonly epoch: number;
  readonly sequence: number;
  /** One bit a route of the pair's child: whether the sender hears the receiver on it. */
  readonly hears: number;
  /** One bit a route of the sender: its interface is down. */
  readonly down: number;
  /** The newest beat that the sender has sent to its children by multicast; 0: none. */
  readonly beat: number;
  /** One bit a route of the pair's child: whether the sender hears the receiver's beats on it. */
  readonly beats: number;
}

export type Verdict = "answered" | "system-lives" | "silent";

export type ProbeBody =
  /** `burst` is a probe that was sent because others were missed. Both ask for an answer. */
  | { readonly kind: "probe" | "answer" | "burst" }
  /** A parent's heartbeat to all its children, by multicast; `number` is the beat's. */
  | { readonly kind: "beat" }
  /** A parent asks a child to look whether `target` answers at that address. */
  | { readonly kind: "ask"; readonly id: number; readonly target: number; readonly address: string; readonly port: number }
  | { readonly kind: "told"; readonly id: number; readonly verdict: Verdict };

export type Probe = ProbeHead & ProbeBody;

const kinds = ["probe", "answer", "burst", "ask", "told", "beat"] as const;
const verdicts: readonly Verdict[] = ["answered", "system-lives", "silent"];

/** A name as probes carry it: names above 64 bytes keep their beginning and a digest. */
export function probeName(name: string): string {
  if (Buffer.byteLength(name) <= nameBytesMax) return name;
  const start = Buffer.from(name).subarray(0, 40).toString("utf8").replaceAll("\ufffd", "");
  return `${start}~${createHash("sha256").update(name).digest("hex").slice(0, 20)}`;
}

/** 32 bits of a name: what an `ask` carries instead of it. */
export function nameDigest(name: string): number {
  return createHash("sha256").update(name).digest().readUInt32LE(0);
}

/**
 * Undefined when there is no secret, or an address is too long to be one. The bytes belong to the caller; whoever sends many keeps a
 * `writer` for all of them.
 */
export function encodeProbe(probe: Probe, seal: ProbeSeal, writer = new ByteWriter(probeBytesMax)): Uint8Array | undefined {
  writer.clear();
  writer.u8(magic);
  writer.u8(version);
  writer.u8(kinds.indexOf(probe.kind));
  writer.string(probe.name);
  writer.u8(probe.route);
  writer.varint(probe.tag);
  writer.varint(probe.number);
  writer.varint(probe.echoTag);
  writer.varint(probe.echoNumber);
  writer.varint(probe.epoch);
  writer.varint(probe.sequence);
  writer.u8(probe.hears);
  writer.u8(probe.down);
  writer.varint(probe.beat);
  writer.u8(probe.beats);
  if (probe.kind === "ask") {
    if (Buffer.byteLength(probe.address) > addressBytesMax) return undefined;
    writer.u32(probe.id);
    writer.u32(probe.target);
    writer.string(probe.address);
    writer.u16(probe.port);
  } else if (probe.kind === "told") {
    writer.u32(probe.id);
    writer.u8(verdicts.indexOf(probe.verdict));
  }
  const bytes = writer.take();
  const mac = seal.mac(bytes);
  if (mac === undefined) return undefined;
  // Taken bytes are never touched by the writer again, so the second part is joined to a copy.
  return Buffer.concat([bytes, mac]);
}

export type Refused = "malformed" | "mac";

/** Whatever the network brings becomes a probe of somebody who knows the secret, or a reason why not. Never throws. */
export function parseProbe(bytes: Uint8Array, seal: ProbeSeal): Probe | Refused {
  // What costs nothing comes first: a flood of garbage must not cost a MAC each.
  if (bytes.length < bytesMin || bytes.length >= probeBytesMax || bytes[0] !== magic || bytes[1] !== version) return "malformed";
  if (!seal.holds(bytes)) return "mac";
  try {
    return readProbe(new ByteReader(bytes.subarray(0, bytes.length - macBytes)));
  } catch {
    return "malformed";
  }
}

function readProbe(reader: ByteReader): Probe | Refused {
  reader.skipTo(2);
  const kind = kinds[reader.u8()];
  const head: ProbeHead = {
    name: reader.string(),
    route: reader.u8(),
    tag: reader.varint(),
    number: reader.varint(),
    echoTag: reader.varint(),
    echoNumber: reader.varint(),
    epoch: reader.varint(),
    sequence: reader.varint(),
    hears: reader.u8(),
    down: reader.u8(),
    beat: reader.varint(),
    beats: reader.u8(),
  };
  if (kind === undefined || head.name === "" || Buffer.byteLength(head.name) > nameBytesMax) return "malformed";
  const body = readBody(kind, reader);
  reader.end();
  return body === undefined ? "malformed" : { ...head, ...body };
}

function readBody(kind: ProbeBody["kind"], reader: ByteReader): ProbeBody | undefined {
  switch (kind) {
    case "probe":
    case "answer":
    case "burst":
    case "beat":
      return { kind };
    case "ask": {
      const ask = { kind, id: reader.u32(), target: reader.u32(), address: reader.string(), port: reader.u16() };
      return ask.port === 0 || ask.address === "" || Buffer.byteLength(ask.address) > addressBytesMax ? undefined : ask;
    }
    case "told": {
      const id = reader.u32();
      const verdict = verdicts[reader.u8()];
      return verdict === undefined ? undefined : { kind, id, verdict };
    }
  }
}
