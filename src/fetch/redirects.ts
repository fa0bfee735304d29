/** One request of `fetch` as it is sent, with nothing left to be followed by whoever sends it. */
export interface Hop {
  readonly url: string;
  readonly init: RequestInit;
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** As many as `fetch` follows. */
export const redirectsMax = 20;
const bodyHeaders = ["content-encoding", "content-language", "content-length", "content-location", "content-type"];
/** Meant for one origin only. */
const originHeaders = ["authorization", "proxy-authorization", "cookie", "host"];

/**
 * The request that follows an answer, as `fetch` would make it (Fetch standard, "HTTP-redirect fetch"); undefined when the answer is
 * the last one. We follow redirects ourselves, because whoever sends a request and follows in one go cannot tell afterwards which of
 * the places has failed: a POST that was carried out and answered with 303 would look like one that was never sent.
 * Throws a TypeError, as `fetch` rejects with, for a redirect that cannot be followed.
 */
export function nextHop({ url, init }: Hop, { status, headers }: Response, hops: number): Hop | undefined {
  const location = headers.get("location");
  if (!redirectStatuses.has(status) || location === null) return undefined;
  const from = new URL(url);
  const to = URL.parse(location, url);
  if (to === null || !/^https?:$/.test(to.protocol)) throw refused(`it leads to ${location}`);
  if (hops >= redirectsMax) throw refused(`there are more than ${redirectsMax}`);
  const { method = "GET" } = init;
  if (status !== 303 && init.body instanceof ReadableStream) throw refused("the body was a stream and cannot be sent twice");
  const next = new Headers(init.headers);
  const asGet = (status <= 302 && method === "POST") || (status === 303 && method !== "GET" && method !== "HEAD");
  if (asGet) for (const name of bodyHeaders) next.delete(name);
  if (to.origin !== from.origin) for (const name of originHeaders) next.delete(name);
  const { body, duplex, ...rest } = init;
  const sent = asGet ? { method: "GET" } : { ...(body === undefined ? {} : { body }), ...(duplex === undefined ? {} : { duplex }) };
  return { url: to.href, init: { ...rest, headers: next, ...sent } };
}

function refused(why: string): TypeError {
  return new TypeError("fetch failed", { cause: new Error(`a redirect cannot be followed: ${why}`) });
}
