import assert from "node:assert/strict";
import { type JsonValue, silentTelemetry } from "../kernel/index.ts";
import { type Link, type LinkEnd, type LinkHandlers, type LinkLimits, type OpenLinkOptions, openLink } from "../link/index.ts";
import { ByteWriter } from "../wire/index.ts";
import { ManualClock } from "./manual-clock.ts";
import { type MemoryConnection, type MemoryPairOptions, memoryPair } from "./memory-connection.ts";

/** One side of a link: handlers that a test sets, and what they were told. */
export class Side {
  readonly connection: MemoryConnection;
  readonly options: OpenLinkOptions;
  readonly messages: string[] = [];
  readonly ends: LinkEnd[] = [];
  readonly logged: string[] = [];
  drains = 0;
  onCall: LinkHandlers["call"] = (_method, body) => Buffer.from(body);
  onMessage: LinkHandlers["message"] = (kind, body) => void this.messages.push(`${kind}:${Buffer.from(body).toString()}`);
  onAccept: (link: Link, peerHello: unknown) => void = () => {};
  #link: Link | undefined;

  constructor(connection: MemoryConnection, clock: ManualClock, options: Partial<OpenLinkOptions> = {}) {
    this.connection = connection;
    const handlers: LinkHandlers = {
      call: (method, body, context) => this.onCall(method, body, context),
      message: (kind, body) => this.onMessage(kind, body),
      drain: () => void this.drains++,
      close: (end) => void this.ends.push(end),
    };
    this.options = {
      connection,
      clock,
      hello: { name: "side" },
      versions: { min: 1, max: 1 },
      telemetry: { ...silentTelemetry, log: (_level, event, fields) => void this.logged.push(`${event} ${String(fields?.["message"])}`) },
      accept: (link, peerHello) => {
        this.onAccept(link, peerHello);
        return handlers;
      },
      ...options,
    };
  }

  async open(): Promise<Link> {
    this.#link = await openLink(this.options);
    return this.#link;
  }

  get link(): Link {
    assert.ok(this.#link !== undefined);
    return this.#link;
  }

  get end(): LinkEnd {
    assert.equal(this.ends.length, 1, "close is told exactly once");
    return this.ends[0] ?? { by: "connection" };
  }
}

export interface SceneOptions extends MemoryPairOptions {
  readonly near?: never;
  readonly far?: never;
  readonly nearLimits?: Partial<LinkLimits>;
  readonly farLimits?: Partial<LinkLimits>;
}

export function sides(options: SceneOptions = {}): { clock: ManualClock; near: Side; far: Side } {
  const clock = new ManualClock();
  const pair = memoryPair(options);
  const near = new Side(pair.near, clock, options.nearLimits === undefined ? {} : { limits: options.nearLimits });
  const far = new Side(pair.far, clock, options.farLimits === undefined ? {} : { limits: options.farLimits });
  return { clock, near, far };
}

export async function linked(options: SceneOptions = {}): Promise<{ clock: ManualClock; near: Side; far: Side }> {
  const scene = sides(options);
  await Promise.all([scene.near.open(), scene.far.open()]);
  return scene;
}

/** Lets everything that is on its way within this turn arrive; nothing here depends on real time. */
export const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => process.nextTick(resolve));
};

export const bytes = (text: string): Buffer => Buffer.from(text);
export const text = (answer: Uint8Array): string => Buffer.from(answer).toString();

/** A peer that speaks no Muster but what the test writes. */
export function stranger(): { near: Side; wire: MemoryConnection; received: Buffer[]; closed: () => boolean } {
  const clock = new ManualClock();
  const pair = memoryPair();
  const received: Buffer[] = [];
  let closed = false;
  pair.far.open({ data: (chunk) => void received.push(Buffer.from(chunk)), drain: () => {}, close: () => (closed = true) });
  return { near: new Side(pair.near, clock), wire: pair.far, received, closed: () => closed };
}

export function frames(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  write(writer);
  return writer.take();
}

export const goodHello: JsonValue = { versions: [1, 1], hello: null };
