import type { Clock, MusterError } from "../kernel/index.ts";
import { DeadlineSweep, type Link } from "../link/index.ts";
import { formatAddress } from "../transport/index.ts";
import * as errors from "./errors.ts";
import {
  type CallerHello,
  type EncodedBody,
  type MessageWriter,
  type RefusalReason,
  RequestReader,
  encodeBody,
  message,
  nothing,
  parseCancel,
  parseTarget,
} from "./messages.ts";
import type { RequestBody, ServerLimits } from "./options.ts";
import { ServedRequest } from "./served-request.ts";
import type { ServedTarget } from "./served-service.ts";
import type { Tombstones } from "./tombstones.ts";

/** What a link needs of the server that it belongs to. */
export interface ServedLinkPorts {
  readonly clock: Clock;
  readonly limits: ServerLimits;
  readonly writer: MessageWriter;
  readonly tombstones: Tombstones;
  target(table: string, instance: string, type: string, sequence: number): ServedTarget;
  /** The same with the declarations as they are now. */
  renew(target: ServedTarget): ServedTarget;
  isCurrent(target: ServedTarget): boolean;
  /** Ends an attempt that came over another link of the same caller. False when it is not there. */
  cancelElsewhere(link: ServedLink, id: number, attempt: number, error: MusterError): boolean;
  /** A handler has thrown. */
  failed(target: ServedTarget, thrown: unknown): void;
  refused(reason: RefusalReason): void;
  answered(): void;
  cancelled(): void;
}

/** One caller's connection: from its requests to the one answer that each of them gets. */
export class ServedLink {
  readonly token: string;
  readonly caller: { readonly name: string; readonly address: string };
  readonly #link: Link;
  readonly #ports: ServedLinkPorts;
  readonly #targets: (ServedTarget | undefined)[] = [];
  /** Requests whose handler promised an answer, by number; an older attempt of the same number is kept aside. */
  readonly #running = new Map<number, ServedRequest>();
  readonly #reader = new RequestReader();
  readonly #sweep: DeadlineSweep;

  constructor(link: Link, hello: CallerHello, ports: ServedLinkPorts) {
    this.token = hello.token;
    this.caller = Object.freeze({ name: hello.name, address: formatAddress(link.peer) });
    this.#link = link;
    this.#ports = ports;
    this.#sweep = new DeadlineSweep(ports.clock, (nowMonoMs) => this.#expire(nowMonoMs));
  }

  get nowMonoMs(): number {
    return this.#ports.clock.monoMs();
  }

  receive(kind: number, body: Uint8Array): void {
    switch (kind) {
      case message.request:
        this.#request(body);
        return;
      case message.cancel:
        this.#cancel(body);
        return;
      case message.target: {
        const { number, table, instance, type, sequence } = parseTarget(body);
        this.#targets[number] = this.#ports.target(table, instance, type, sequence);
        return;
      }
      case message.ping:
        // Answers that wait to be read say the same.
        if (this.#deafness() === undefined) this.#link.send(message.pong, nothing);
        return;
      default:
        throw errors.malformed(`messages of kind ${kind} do not exist`);
    }
  }

  /** Ends the attempt if it runs here. */
  cancel(id: number, attempt: number, error: MusterError): boolean {
    const request = this.#running.get(id);
    if (request === undefined || request.attempt !== attempt) return false;
    this.#running.delete(id);
    this.#ports.cancelled();
    request.abandon(error);
    return true;
  }

  /** Gives up what a handler still works on, and says so. */
  abandon(request: ServedRequest, error: MusterError): void {
    if (request.isAbandoned) return;
    this.#refuse(request.id, request.attempt, "abandoned", error.message);
    this.#running.delete(request.id);
    request.abandon(error);
  }

  /** No new requests, please. */
  sayClosing(): void {
    this.#link.send(message.closing, nothing);
  }

  close(error?: MusterError): void {
    this.#link.close(error);
  }

  /** The link has ended: handlers learn that nobody waits. */
  ended(): void {
    this.#sweep.stop();
    const error = errors.cancelled("the caller's connection has ended");
    for (const request of this.#running.values()) request.abandon(error);
    this.#running.clear();
  }

  #request(bytes: Uint8Array): void {
    const { clock, limits, tombstones } = this.#ports;
    const reader = this.#reader;
    reader.read(bytes);
    const { id, attempt, effect, leftMs, bodyBytes } = reader;
    const target = this.#target(reader.target);
    const { service, handle } = target;
    if (tombstones.take(this.token, id, attempt)) return;
    if (service === undefined || service.refusing !== undefined) {
      this.#refuse(id, attempt, "turned-away", service?.refusing ?? `${target.name} is not served here`);
      return;
    }
    if (handle === undefined) {
      this.#refuse(id, attempt, "turned-away", `it does not answer requests of type ${target.type}`);
      return;
    }
    if (target.effect === "write" && effect !== "write") {
      this.#refuse(id, attempt, "reclassified", `${target.type} is a write`);
      return;
    }
    const full = service.fullness(limits, bodyBytes) ?? this.#deafness();
    if (full !== undefined) {
      this.#refuse(id, attempt, "overloaded", full);
      return;
    }
    const request = new ServedRequest(this, service, id, attempt, bodyBytes, clock.monoMs() + leftMs);
    let result: RequestBody | undefined | Promise<RequestBody | undefined>;
    try {
      result = handle(reader.body(), request);
    } catch (thrown) {
      this.#failed(request, target, thrown);
      return;
    }
    if (result instanceof Promise) this.#await(request, target, result);
    else this.#answer(request, target, result);
  }

  #target(number: number): ServedTarget {
    const target = this.#targets[number];
    if (target === undefined) throw errors.malformed(`nobody said what the target ${number} is`);
    if (this.#ports.isCurrent(target)) return target;
    const renewed = this.#ports.renew(target);
    this.#targets[number] = renewed;
    return renewed;
  }

  #deafness(): string | undefined {
    const { bufferedBytes } = this.#link;
    return bufferedBytes > this.#ports.limits.answersBufferedBytesMax
      ? `${bufferedBytes} bytes of answers wait for this caller to read them`
      : undefined;
  }

  #await(request: ServedRequest, target: ServedTarget, promise: Promise<RequestBody | undefined>): void {
    const { service } = request;
    service.begin(request);
    // An older attempt of the same request gives way: its cancel is on its way.
    this.#running.get(request.id)?.abandon(errors.cancelled("it was sent again"));
    this.#running.set(request.id, request);
    this.#sweep.watch(request.dueMonoMs);
    promise.then(
      (answer) => {
        this.#forget(request);
        if (!request.isAbandoned) this.#answer(request, target, answer);
      },
      (thrown: unknown) => {
        this.#forget(request);
        if (!request.isAbandoned) this.#failed(request, target, thrown);
      },
    );
  }

  #forget(request: ServedRequest): void {
    if (this.#running.get(request.id) === request) this.#running.delete(request.id);
    request.service.end(request);
  }

  #answer(request: ServedRequest, target: ServedTarget, answer: RequestBody | undefined): void {
    let encoded: EncodedBody;
    try {
      encoded = encodeBody(answer, "done");
    } catch (thrown) {
      this.#failed(request, target, thrown);
      return;
    }
    this.#ports.answered();
    this.#link.send(message.answer, this.#ports.writer.answer(request.id, request.attempt, encoded));
  }

  #failed(request: ServedRequest, target: ServedTarget, thrown: unknown): void {
    const error = errors.handlerError(thrown);
    this.#ports.failed(target, thrown);
    this.#link.send(message.error, this.#ports.writer.error(request.id, request.attempt, error));
  }

  #refuse(id: number, attempt: number, reason: RefusalReason, why: string): void {
    this.#ports.refused(reason);
    this.#link.send(message.refusal, this.#ports.writer.refusal(id, attempt, reason, why));
  }

  #cancel(bytes: Uint8Array): void {
    const { id, attempt, elsewhere, leftMs, reason } = parseCancel(bytes);
    const { tombstones } = this.#ports;
    const error = errors.cancelled(reason);
    if (this.cancel(id, attempt, error) || !elsewhere) return;
    const nowMonoMs = this.nowMonoMs;
    // It has not come yet, and must not begin when it does.
    if (!this.#ports.cancelElsewhere(this, id, attempt, error)) tombstones.add(this.token, id, attempt, nowMonoMs + leftMs, nowMonoMs);
  }

  #expire(nowMonoMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const request of this.#running.values())
      if (request.dueMonoMs <= nowMonoMs) {
        this.#running.delete(request.id);
        request.abandon(errors.cancelled("its deadline has passed"));
      } else if (request.dueMonoMs < earliest) earliest = request.dueMonoMs;
    return earliest;
  }
}
