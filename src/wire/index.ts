/**
 * The wire: bytes ↔ values, no sockets. `bytes` reads and writes the primitive values, `frame` cuts a stream into frames.
 * Rejected: JSON for everything (10 × the CPU of a change), protobuf (a code generator and a second naming of every field).
 */
export { ByteReader, ByteWriter } from "./bytes.ts";
export {
  FrameDecoder,
  type FrameHandler,
  encodeMessage,
  frameJsonBytesMax,
  writeAnswer,
  writeCall,
  writeCancel,
  writeClose,
  writeFail,
  writeHello,
  writeMessage,
  writeMessageParts,
} from "./frame.ts";
export { type ChangeSink, decodeChanges, encodeChange, filterChange } from "./change.ts";
export type { ChangeEffect, EffectSink } from "./effects.ts";
