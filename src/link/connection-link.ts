import {
  MusterError,
  type Telemetry,
  type Timer,
  errorOf,
  limits as kernelLimits,
  parseMusterError,
  silentTelemetry,
} from "../kernel/index.ts";
import { type Address, type Connection, formatAddress } from "../transport/index.ts";
import {
  FrameDecoder,
  type FrameHandler,
  frameJsonBytesMax,
  writeClose,
  writeHello,
  writeMessage,
  writeMessageParts,
} from "../wire/index.ts";
import { closedError, handshakeTimeout, noCommonVersion, peerTooSlow, tellable, unexpectedFrame, wireForm } from "./errors.ts";
import { agreeVersion, formHello, parseHello } from "./handshake.ts";
import { IncomingCalls } from "./incoming-calls.ts";
import type { Link } from "./link.ts";
import { type CallOptions, type LinkEnd, type LinkHandlers, type OpenLinkOptions, linkLimits } from "./options.ts";
import { Outbox } from "./outbox.ts";
import { OutgoingCalls } from "./outgoing-calls.ts";

/** greeting: our hello is out, the peer's is not here yet. Nothing leaves `ended`. */
type Phase = "greeting" | "open" | "ended";

/** A link on one connection. */
export class ConnectionLink implements Link {
  readonly #options: OpenLinkOptions;
  readonly #telemetry: Telemetry;
  readonly #connection: Connection;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  readonly #outgoing: OutgoingCalls;
  readonly #incoming: IncomingCalls;
  readonly #opened = Promise.withResolvers<Link>();
  #phase: Phase = "greeting";
  #handlers: LinkHandlers | undefined;
  #handshakeTimer: Timer | undefined;
  #peerHello: unknown;
  #version = 0;
  #heardMonoMs: number;

  constructor(options: OpenLinkOptions) {
    const limits = { ...linkLimits, ...options.limits };
    const { connection, clock } = options;
    this.#options = options;
    this.#connection = connection;
    this.#heardMonoMs = clock.monoMs();
    this.#telemetry = options.telemetry ?? silentTelemetry;
    this.#outbox = new Outbox(connection, limits.bufferedBytesMax, {
      drain: () => this.#handlers?.drain?.(),
      overflow: (bytes) => this.#overflow(bytes),
    });
    this.#outgoing = new OutgoingCalls(this.#outbox, clock, limits.callsMax, connection.peer);
    this.#incoming = new IncomingCalls(this.#outbox, clock, limits, (thrown, where) => this.#report(thrown, where));
    this.#decoder = new FrameDecoder(this.#frames());
    // A stranger may say hello and no more.
    this.#decoder.limitTo(frameJsonBytesMax + 1);
    this.#handshakeTimer = clock.schedule(limits.handshakeTimeoutMs, () => {
      this.close(handshakeTimeout(connection.peer, limits.handshakeTimeoutMs));
    });
  }

  /** Says hello and waits for the peer's. */
  open(): Promise<Link> {
    const { versions, hello } = this.#options;
    this.#connection.open({
      data: (chunk) => this.#receive(chunk),
      drain: () => this.#outbox.drained(),
      close: (error) => this.#end(endOfConnection(this.#connection, error)),
    });
    writeHello(this.#outbox.writer, formHello(versions, hello));
    this.#outbox.flush();
    return this.#opened.promise;
  }

  get peer(): Address {
    return this.#connection.peer;
  }

  get local(): Address {
    return this.#connection.local;
  }

  get version(): number {
    return this.#version;
  }

  get peerHello(): unknown {
    return this.#peerHello;
  }

  get isOpen(): boolean {
    return this.#phase === "open";
  }

  get heardMonoMs(): number {
    return this.#heardMonoMs;
  }

  get bufferedBytes(): number {
    return this.#outbox.bufferedBytes;
  }

  call(method: number, body: Uint8Array, options?: CallOptions): Promise<Uint8Array> {
    return this.#outgoing.call(method, body, options);
  }

  send(kind: number, body: Uint8Array): void {
    if (this.#phase !== "open") return;
    writeMessage(this.#outbox.writer, kind, body);
    this.#outbox.schedule();
  }

  sendParts(kind: number, head: Uint8Array, rest: Uint8Array | string): void {
    if (this.#phase !== "open") return;
    writeMessageParts(this.#outbox.writer, kind, head, rest);
    this.#outbox.schedule();
  }

  sendFrame(encoded: Uint8Array): void {
    if (this.#phase !== "open") return;
    this.#outbox.add(encoded);
    this.#outbox.schedule();
  }

  pause(): void {
    if (this.#phase !== "ended") this.#connection.pause();
  }

  resume(): void {
    if (this.#phase !== "ended") this.#connection.resume();
  }

  flush(): void {
    this.#outbox.flush();
  }

  close(reason?: MusterError): void {
    if (this.#phase === "ended") return;
    writeClose(this.#outbox.writer, reason === undefined ? null : wireForm(reason));
    this.#end(reason === undefined ? { by: "us" } : { by: "us", error: reason });
    this.#connection.end();
  }

  #frames(): FrameHandler {
    return {
      hello: (hello) => this.#greet(hello),
      call: (id, timeoutMs, method, body) => this.#incoming.serve(this.#greeted(), id, timeoutMs, method, body),
      answer: (id, body) => {
        // Without a call it comes too late, which is nobody's fault once the peer has said hello.
        if (!this.#outgoing.answer(id, body)) this.#greeted();
      },
      fail: (id, error) => {
        if (!this.#outgoing.fail(id, error)) this.#greeted();
      },
      cancel: (id) => {
        this.#greeted();
        this.#incoming.cancel(id);
      },
      message: (kind, body) => this.#deliver(this.#greeted(), kind, body),
      close: (reason) => this.#closedByPeer(reason),
    };
  }

  #receive(chunk: Uint8Array): void {
    if (this.#phase === "ended") return;
    this.#heardMonoMs = this.#options.clock.monoMs();
    try {
      this.#decoder.push(chunk);
    } catch (thrown) {
      // Only the peer can have caused it: what handlers throw is caught where they are called.
      if (!(thrown instanceof MusterError)) throw thrown;
      this.close(thrown);
    }
  }

  #greeted(): LinkHandlers {
    if (this.#handlers === undefined) throw unexpectedFrame("it does not say hello first");
    return this.#handlers;
  }

  #greet(value: unknown): void {
    if (this.#phase !== "greeting") throw unexpectedFrame("it says hello twice");
    const { versions, accept } = this.#options;
    const { versions: theirs, hello } = parseHello(value);
    const version = agreeVersion(versions, theirs);
    if (version === undefined) throw noCommonVersion(versions, theirs);
    this.#stopHandshakeTimer();
    this.#decoder.limitTo(kernelLimits.frameBytesMax);
    this.#version = version;
    this.#peerHello = hello;
    this.#phase = "open";
    let handlers: LinkHandlers;
    try {
      handlers = accept(this, hello);
    } catch (thrown) {
      if (!(thrown instanceof MusterError)) this.#report(thrown, "accept");
      throw tellable(thrown);
    }
    // `accept` may have closed the link; then its handlers are of no use.
    if (!this.isOpen) return;
    this.#handlers = handlers;
    this.#opened.resolve(this);
  }

  #deliver(handlers: LinkHandlers, kind: number, body: Uint8Array): void {
    try {
      handlers.message(kind, body);
    } catch (thrown) {
      this.#report(thrown, `message ${kind}`);
      this.close(tellable(thrown));
    }
  }

  #closedByPeer(reason: unknown): void {
    this.#end(reason === null ? { by: "peer" } : { by: "peer", error: parseMusterError(reason, "link/closed") });
    this.#connection.end();
  }

  #overflow(bytes: number): void {
    // The reason would queue behind everything that the peer does not read, so it is for our side alone.
    this.#end({ by: "us", error: peerTooSlow(this.peer, bytes) });
    this.#connection.destroy();
  }

  /** Comes before the connection is closed: an adapter may tell of that at once, and the first end is the one that counts. */
  #end(end: LinkEnd): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#stopHandshakeTimer();
    this.#decoder.stop();
    this.#outbox.close();
    const error = closedError(this.peer, "none", end.error);
    this.#outgoing.end(end.error);
    this.#incoming.end(error);
    this.#opened.reject(end.error ?? error);
    const handlers = this.#handlers;
    // Whoever closes a link is not called back while still inside `close`.
    if (end.by === "us") queueMicrotask(() => handlers?.close(end));
    else handlers?.close(end);
  }

  #stopHandshakeTimer(): void {
    this.#handshakeTimer?.cancel();
    this.#handshakeTimer = undefined;
  }

  #report(thrown: unknown, where: string): void {
    const error = errorOf(thrown);
    const fields = { peer: formatAddress(this.peer), where, message: error.message, stack: error.stack ?? "" };
    this.#telemetry.log("error", "link-handler-failed", fields);
  }
}

function endOfConnection(connection: Connection, error: Error | undefined): LinkEnd {
  if (error === undefined) return { by: "connection" };
  return { by: "connection", error: error instanceof MusterError ? error : closedError(connection.peer, "none", error) };
}
