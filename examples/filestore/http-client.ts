import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { StoreError, messageOf } from "./errors.ts";
import type { CompleteRoute } from "./muster.ts";

export interface Call {
  readonly method: "GET" | "PUT" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for every attempt. */
  readonly body?: () => AsyncIterable<Uint8Array>;
  /** From the last byte of the request to the head of the answer; default 5 s. */
  readonly answerMs?: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: IncomingMessage;
}

const connectMs = 1000;
/** Longer than any client of a gateway may stand still, so that a slow client does not look like a dead server. */
const idleMs = 90_000;
const jsonAnswerBytesMax = 8 * 1024 * 1024;

/** The server could not be reached, or broke off. `mayHaveRun` is false when it cannot have seen the request. */
export class CallFailure extends Error {
  readonly mayHaveRun: boolean;

  constructor(message: string, mayHaveRun: boolean, cause?: unknown) {
    super(message, { cause });
    this.name = "CallFailure";
    this.mayHaveRun = mayHaveRun;
  }
}

/** Calls servers over their complete routes, and keeps the connections. Built once a process. */
export class ServerCalls {
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 16 });
  readonly #pending = new Map<string, Set<AbortController>>();

  /**
   * Resolves with the head of the answer; the caller reads or destroys the body. A refused or unanswered connection is tried
   * on the other routes of the same server at once. Throws `CallFailure`.
   */
  async call(route: CompleteRoute, call: Call): Promise<Answer> {
    const routes = [route, ...route.alternates.filter(({ instance }) => instance === route.instance)];
    let last: unknown;
    for (const one of routes) {
      try {
        return await this.#attempt(one, call);
      } catch (thrown) {
        last = thrown;
        if (!(thrown instanceof CallFailure) || thrown.mayHaveRun || call.signal?.aborted) throw thrown;
      }
    }
    throw last;
  }

  /** What the roll says of a server: nobody goes on waiting for one that is gone. */
  abandon(serverKey: string): void {
    for (const controller of this.#pending.get(serverKey) ?? []) controller.abort(new CallFailure(`${serverKey} is off the roll`, true));
  }

  close(): void {
    for (const key of this.#pending.keys()) this.abandon(key);
    this.#agent.destroy();
  }

  #attempt(route: CompleteRoute, { method, path, headers, body, answerMs = 5000, signal }: Call): Promise<Answer> {
    const controller = new AbortController();
    const pending = this.#pending.get(route.instance) ?? new Set();
    this.#pending.set(route.instance, pending.add(controller));
    const done = () => {
      pending.delete(controller);
      signal?.removeEventListener("abort", follow);
    };
    const follow = () => controller.abort(signal?.reason);
    if (signal?.aborted) follow();
    else signal?.addEventListener("abort", follow, { once: true });

    return new Promise((resolve, reject) => {
      let connected = false;
      const where = `${route.instance} at ${route.address}:${route.port}`;
      const request = httpRequest({
        agent: this.#agent,
        host: route.address,
        port: route.port,
        method,
        path,
        headers: { ...headers },
        timeout: idleMs,
      });
      const fail = (thrown: unknown) => {
        done();
        request.destroy();
        reject(
          thrown instanceof StoreError || thrown instanceof CallFailure
            ? thrown
            : new CallFailure(`${where}: ${messageOf(thrown)}`, connected, thrown),
        );
      };
      const onAbort = () => {
        const reason: unknown = controller.signal.reason;
        request.destroy(reason instanceof Error ? reason : undefined);
        fail(reason);
      };
      if (controller.signal.aborted) return onAbort();
      controller.signal.addEventListener("abort", onAbort, { once: true });
      request.on("error", fail);
      request.on("timeout", () => fail(new Error(`nothing came for ${idleMs} ms`)));
      request.on("socket", (socket) => {
        if (!socket.connecting) {
          connected = true;
          return;
        }
        const timer = setTimeout(() => fail(new Error(`no connection within ${connectMs} ms`)), connectMs);
        socket.once("connect", () => {
          connected = true;
          clearTimeout(timer);
        });
        socket.once("close", () => clearTimeout(timer));
      });
      let answerTimer: NodeJS.Timeout | undefined;
      request.on("finish", () => {
        answerTimer = setTimeout(() => fail(new Error(`no answer within ${answerMs} ms`)), answerMs);
      });
      request.on("close", () => clearTimeout(answerTimer));
      request.on("response", (response) => {
        clearTimeout(answerTimer);
        response.once("close", done);
        // The listener lives as long as the body: a reader that has left must not bring the process down.
        response.on("error", () => {});
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
      });
      if (body === undefined) request.end();
      else {
        const source = Readable.from(body(), { objectMode: false, highWaterMark: 256 * 1024 });
        source.on("error", fail);
        request.on("close", () => source.destroy());
        source.pipe(request);
      }
    });
  }
}

/** Reads a small JSON answer. */
export async function readJsonAnswer(answer: Answer): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > jsonAnswerBytesMax) throw new CallFailure(`an answer has more than ${jsonAnswerBytesMax} bytes`, true);
    chunks.push(bytes);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw new CallFailure("an answer is not JSON", true, cause);
  }
}

/** The error that another server of the store answered with. */
export async function storeErrorOf(answer: Answer): Promise<StoreError> {
  const body = await readJsonAnswer(answer).catch(() => undefined);
  const field = (name: string): string | undefined => {
    const value = typeof body === "object" && body !== null ? Reflect.get(body, name) : undefined;
    return typeof value === "string" ? value : undefined;
  };
  const next = field("next");
  return new StoreError(
    answer.status,
    field("code") ?? "filestore/internal",
    field("message") ?? `status ${answer.status}`,
    next === undefined ? {} : { next },
  );
}
