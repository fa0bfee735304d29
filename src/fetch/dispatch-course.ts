import { Readable } from "node:stream";
import { errorOf } from "../kernel/index.ts";
import { type Body, OneShotBody } from "./body.ts";
import type { Attempt, Course } from "./course.ts";
import { type Dispatch, type DispatchController, type DispatchHandler, type DispatchOptions, headerOf } from "./undici.ts";

/** Of an answer that is not wanted so much is read, to keep its connection. */
const swallowedBytesMax = 64 * 1024;

type Outcome = "complete" | "again" | { readonly failed: unknown };

/**
 * One request of undici over its attempts: to the handler it looks like one. The handler has its controller from the
 * beginning, so that it may abort while there is no server yet.
 */
export class DispatchCourse implements DispatchController {
  readonly #dispatch: Dispatch;
  readonly #request: DispatchOptions;
  readonly #body: Body;
  readonly #handler: DispatchHandler;
  #course: Course | undefined;
  /** Of the attempt whose answer is handed on. */
  #inner: DispatchController | undefined;
  #paused = false;
  #aborted: { readonly reason: unknown } | undefined;

  constructor(dispatch: Dispatch, request: DispatchOptions, body: Body, handler: DispatchHandler) {
    this.#dispatch = dispatch;
    this.#request = request;
    this.#body = body;
    this.#handler = handler;
  }

  get aborted(): boolean {
    return this.#aborted !== undefined;
  }

  get reason(): unknown {
    return this.#aborted?.reason ?? null;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get rawHeaders(): unknown {
    return this.#inner?.rawHeaders ?? null;
  }

  get rawTrailers(): unknown {
    return this.#inner?.rawTrailers ?? null;
  }

  pause(): void {
    this.#paused = true;
    this.#inner?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#inner?.resume();
  }

  abort(reason: unknown): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = { reason };
    this.#course?.abort(reason);
  }

  /** Everything that happens is told to the handler. */
  run(begin: (method: string) => Course): void {
    this.#pursue(begin).catch((thrown: unknown) => this.#fail(thrown));
  }

  async #pursue(begin: (method: string) => Course): Promise<void> {
    this.#handler.onRequestStart?.(this, {});
    const course = begin(this.#request.method.toUpperCase());
    this.#course = course;
    if (this.#aborted !== undefined) course.abort(this.#aborted.reason);
    for (;;) {
      try {
        const outcome = await this.#attempt(course);
        if (outcome === "complete") return;
        if (outcome === "again") continue;
      } catch (thrown) {
        course.end();
        throw thrown;
      }
    }
  }

  async #attempt(course: Course): Promise<"complete" | "again"> {
    const route = await course.route();
    const sending: { controller?: DispatchController; cut?: { readonly reason: unknown } } = {};
    let starts = 0;
    const attempt = course.attempt(route, (reason) => {
      sending.cut = { reason };
      sending.controller?.abort(reason);
    });
    const outcome = await new Promise<Outcome>((resolve) => {
      const body = this.#body instanceof OneShotBody ? { body: Readable.from(this.#body.chunks(), { highWaterMark: 1 }) } : {};
      const handler = this.#attemptHandler(course, attempt, resolve, (controller) => {
        starts++;
        sending.controller = controller;
        if (sending.cut !== undefined) controller.abort(sending.cut.reason);
      });
      this.#dispatch({ ...this.#request, origin: attempt.origin, path: attempt.path, ...body }, handler);
    });
    if (typeof outcome === "string") return outcome;
    // Interceptors between us and the connection may follow redirects and try again: the last failure then is not the only one.
    course.failed(attempt, outcome.failed, starts > 1);
    return "again";
  }

  #attemptHandler(
    course: Course,
    attempt: Attempt,
    resolve: (outcome: Outcome) => void,
    starts: (controller: DispatchController) => void,
  ): DispatchHandler {
    const outer = this.#handler;
    let stage: "head" | "answer" | "swallow" = "head";
    let swallowedBytes = 0;
    const answers = (controller: DispatchController) => {
      stage = "answer";
      this.#inner = controller;
      course.answered(attempt);
      resolve("complete");
    };
    return {
      onRequestStart: starts,
      onRequestUpgrade: (controller, status, headers, socket) => {
        answers(controller);
        course.end();
        outer.onRequestUpgrade?.(this, status, headers, socket);
      },
      onResponseStart: (controller, status, headers, statusMessage) => {
        if (status < 200) {
          outer.onResponseStart?.(this, status, headers, statusMessage);
        } else if (course.postponed(attempt, status, headerOf(headers, "retry-after"))) {
          stage = "swallow";
          resolve("again");
        } else {
          answers(controller);
          outer.onResponseStart?.(this, status, headers, statusMessage);
          if (this.#paused) controller.pause();
        }
      },
      onResponseData: (controller, chunk) => {
        if (stage === "answer") outer.onResponseData?.(this, chunk);
        else if ((swallowedBytes += chunk.byteLength) > swallowedBytesMax) controller.abort(new Error("the answer is not wanted"));
      },
      onResponseEnd: (_controller, trailers) => {
        if (stage !== "answer") return;
        course.end();
        outer.onResponseEnd?.(this, trailers);
      },
      onResponseError: (_controller, error) => {
        if (stage === "head") return resolve({ failed: error });
        if (stage === "swallow") return;
        course.end();
        outer.onResponseError?.(this, course.bodyError(error));
      },
    };
  }

  #fail(thrown: unknown): void {
    this.#body.end();
    this.#handler.onResponseError?.(this, this.#aborted === undefined ? errorOf(thrown) : (this.#aborted.reason ?? errorOf(thrown)));
  }
}
