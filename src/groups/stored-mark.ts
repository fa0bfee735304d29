import { errorOf } from "../kernel/index.ts";
import { ByteReader, ByteWriter } from "../wire/index.ts";
import { damaged } from "./errors.ts";
import type { Position } from "./ports.ts";

/** The one meta record of a member's store; every batch writes it. */
export interface StoredMark {
  readonly replica: string;
  readonly promised: number;
  readonly installed: Position;
  readonly base: Position;
  /** Records of the log beyond it were cut off. */
  readonly end: number;
}

export const markName = "group";
const version = 1;

export function encodeMark({ replica, promised, installed, base, end }: StoredMark): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(version);
  writer.string(replica);
  writer.varint(promised);
  for (const position of [installed, base]) {
    writer.varint(position.epoch);
    writer.varint(position.index);
  }
  writer.varint(end);
  return writer.take();
}

/** Throws `groups/damaged`. */
export function decodeMark(bytes: Uint8Array): StoredMark {
  try {
    const reader = new ByteReader(bytes);
    if (reader.u8() !== version) throw damaged("it was written by another version");
    const replica = reader.string();
    const promised = reader.varint();
    const installed = { epoch: reader.varint(), index: reader.varint() };
    const base = { epoch: reader.varint(), index: reader.varint() };
    const end = reader.varint();
    reader.end();
    if (!/^[0-9a-f]{16}$/.test(replica)) throw damaged("its identity is none");
    if (base.index > installed.index || installed.index > end) throw damaged("its marks contradict one another");
    return { replica, promised, installed, base, end };
  } catch (error) {
    throw damaged(errorOf(error).message);
  }
}
