/** What a filestore server answers when it cannot do what was asked: an HTTP status, a stable code, and what to do next. */
export class StoreError extends Error {
  readonly status: number;
  readonly code: string;
  readonly next: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    options: { readonly next?: string; readonly headers?: Readonly<Record<string, string>>; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "StoreError";
    this.status = status;
    this.code = code;
    this.next = options.next;
    this.headers = options.headers ?? {};
  }

  toJSON(): { code: string; message: string; next?: string } {
    const { code, message, next } = this;
    return next === undefined ? { code, message } : { code, message, next };
  }
}

/** The code of an error, the system's ("ENOSPC") or the library's ("roll/key-claimed"), if it has one. */
export function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
