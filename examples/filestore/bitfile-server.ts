import { parseByteRange } from "./byte-range.ts";
import { StoreError } from "./errors.ts";
import { parseObjectId } from "./file-record.ts";
import { type Exchange, type Handler, sendBytes, sendJson } from "./http-server.ts";
import type { ObjectReader } from "./object-file.ts";
import type { ObjectStore } from "./object-store.ts";

/** Sends an object or a part of it; the head leaves only when the first bytes are verified. */
async function sendObject({ request, response }: Exchange, object: ObjectReader): Promise<void> {
  const range = parseByteRange(request.headers.range, object.size);
  const headers = {
    "content-type": "application/octet-stream",
    "accept-ranges": "bytes",
    etag: `"${object.sha256}"`,
  };
  if (range.kind === "unsatisfiable")
    throw new StoreError(416, "filestore/bad-range", `the object has ${object.size} bytes`, {
      headers: { "content-range": `bytes */${object.size}` },
    });
  const startByte = range.kind === "part" ? range.startByte : 0;
  const endByte = range.kind === "part" ? range.endByte : object.size - 1;
  const head = {
    ...headers,
    "content-length": String(endByte + 1 - startByte),
    ...(range.kind === "part" ? { "content-range": `bytes ${startByte}-${endByte}/${object.size}` } : {}),
  };
  const status = range.kind === "part" ? 206 : 200;
  if (request.method === "HEAD" || object.size === 0) {
    response.writeHead(status, head).end();
    return;
  }
  const bytes = object.read(startByte, endByte);
  const first = await bytes.next();
  response.writeHead(status, head);
  await sendBytes(
    response,
    (async function* () {
      if (first.done) return;
      yield first.value;
      yield* bytes;
    })(),
  );
}

/** A bitfile server: `PUT|GET|HEAD|DELETE /objects/ID`. PUT answers 201 with size and SHA-256 when both bytes and name are flushed. */
export function bitfileHandler(store: ObjectStore): Handler {
  return async (exchange) => {
    const { request, response, path } = exchange;
    const match = /^\/objects\/([^/]+)$/.exec(path);
    if (match === null) throw new StoreError(404, "filestore/no-such-path", `${path.slice(0, 200)} is not served here`);
    const id = parseObjectId(match[1] ?? "");
    if (request.method === "PUT") {
      exchange.acceptBody();
      return sendJson(response, 201, await store.write(id, request));
    }
    if (request.method === "DELETE") {
      const deleted = await store.delete(id);
      response.writeHead(deleted ? 204 : 404).end();
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD")
      throw new StoreError(405, "filestore/bad-method", `${request.method} is not possible here`, {
        headers: { allow: "PUT, GET, HEAD, DELETE" },
      });
    await using object = await store.open(id);
    if (object === undefined) throw new StoreError(404, "filestore/no-such-object", `there is no object ${id}`);
    await sendObject(exchange, object);
  };
}
