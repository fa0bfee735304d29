import type { Readable } from "node:stream";

/**
 * What this room needs of undici's interface between a dispatcher and its handlers (version 7), said in our own words:
 * undici is not a dependency.
 */
export interface DispatchController {
  readonly aborted: boolean;
  readonly paused: boolean;
  readonly reason: unknown;
  readonly rawHeaders?: unknown;
  readonly rawTrailers?: unknown;
  abort(reason: unknown): void;
  pause(): void;
  resume(): void;
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface DispatchHandler {
  onRequestStart?(controller: DispatchController, context: unknown): void;
  onRequestUpgrade?(controller: DispatchController, status: number, headers: Headers, socket: unknown): void;
  onResponseStart?(controller: DispatchController, status: number, headers: Headers, statusMessage?: string): void;
  onResponseData?(controller: DispatchController, chunk: Uint8Array): void;
  onResponseEnd?(controller: DispatchController, trailers: Headers): void;
  onResponseError?(controller: DispatchController, error: unknown): void;
}

export interface DispatchOptions {
  readonly origin?: string | URL;
  readonly path: string;
  readonly method: string;
  /** As undici declares it; at run time it takes any iterable, a Blob and a FormData too. */
  readonly body?: string | Uint8Array | Readable | null;
}

export type Dispatch = (options: DispatchOptions, handler: DispatchHandler) => boolean;

/** The last value of a header, which a server may have sent several times. */
export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" || value === undefined ? value : value.at(-1);
}
