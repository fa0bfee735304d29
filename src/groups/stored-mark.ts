import { MusterError, errorOf } from "../kernel/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { damaged, newerData } from "./errors.ts";
import type { Position } from "./ports.ts";

/** The one meta record of a member's store; every batch writes it. */
export interface StoredMark {
  readonly replica: string;
  readonly promised: number;
  readonly installed: Position;
  readonly base: Position;
  /** Records of the log beyond it were cut off. */
  readonly end: number;
  /** The copy of the state that counts: rows of another one are on their way in, or left over. */
  readonly generation: number;
  /** The epoch that begins with what is here, because somebody has given up what others hold; 0: none. */
  readonly acceptedEpoch: number;
}

export const markName = "group";
/** 2: generation and accepted epoch; 3: entries of the log say who opened. */
const version = 3;

export function encodeMark({ replica, promised, installed, base, end, generation, acceptedEpoch }: StoredMark): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(version);
  writer.string(replica);
  writer.varint(promised);
  for (const position of [installed, base]) {
    writer.varint(position.epoch);
    writer.varint(position.index);
  }
  writer.varint(end);
  writer.varint(generation);
  writer.varint(acceptedEpoch);
  return writer.take();
}

/** Throws `groups/damaged`, and `groups/newer-data` for what a newer program has written. */
export function decodeMark(bytes: Uint8Array): StoredMark {
  try {
    const reader = new ByteReader(bytes);
    const written = reader.u8();
    if (written > version) throw newerData(written, version);
    if (written < 1) throw damaged("its marks are none");
    const replica = reader.string();
    const promised = reader.varint();
    const installed = { epoch: reader.varint(), index: reader.varint() };
    const base = { epoch: reader.varint(), index: reader.varint() };
    const end = reader.varint();
    const [generation, acceptedEpoch] = written === 1 ? [0, 0] : [reader.varint(), reader.varint()];
    reader.end();
    if (!/^[0-9a-f]{16}$/.test(replica)) throw damaged("its identity is none");
    if (base.index > installed.index || installed.index > end) throw damaged("its marks contradict one another");
    return { replica, promised, installed, base, end, generation, acceptedEpoch };
  } catch (error) {
    throw error instanceof MusterError && error.code.startsWith("groups/") ? error : damaged(errorOf(error).message);
  }
}
