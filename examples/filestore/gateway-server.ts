import { StoreError } from "./errors.ts";
import { describeFile, parseFileName } from "./file-record.ts";
import type { GatewayFiles } from "./gateway-files.ts";
import { type Exchange, type Handler, sendJson } from "./http-server.ts";
import { mergePages } from "./listing.ts";
import type { MetadataClient } from "./metadata-client.ts";
import type { Fleet } from "./muster.ts";
import { partitionCount } from "./placement.ts";

const listLimitMax = 1000;

async function sendListing({ query, response }: Exchange, metadata: MetadataClient): Promise<void> {
  const limit = Number(query.get("limit") ?? listLimitMax);
  if (!Number.isInteger(limit) || limit < 1 || limit > listLimitMax)
    throw new StoreError(400, "filestore/bad-limit", `limit is a whole number from 1 to ${listLimitMax}`);
  const prefix = query.get("prefix") ?? "";
  const after = query.get("after") ?? "";
  // A part of the listing never passes for the whole: one silent partition fails the request.
  const pages = await Promise.all(Array.from({ length: partitionCount }, (_, partition) => metadata.list(partition, prefix, after, limit)));
  const { files, next } = mergePages(pages, limit);
  sendJson(response, 200, {
    files: files.map(describeFile),
    ...(next === undefined ? {} : { next }),
  });
}

/**
 * A gateway:
 *
 *   PUT|GET|HEAD|DELETE /files/NAME               NAME is percent-encoded and may contain "/"
 *   GET /files/?prefix=&after=&limit=             a listing in name order
 *   GET /healthz
 */
export function gatewayHandler(files: GatewayFiles, metadata: MetadataClient, fleet: Fleet, key: string): Handler {
  return async (exchange) => {
    const { request, response, path } = exchange;
    const { method } = request;
    if (path === "/healthz" && (method === "GET" || method === "HEAD"))
      return sendJson(response, 200, { status: "ok", gateway: key, detached: fleet.detached, rollAgeMs: Math.round(fleet.ageMs) });
    if (path === "/files" || path === "/files/") {
      if (method !== "GET")
        throw new StoreError(405, "filestore/bad-method", `${method} needs a name`, { next: "use /files/NAME", headers: { allow: "GET" } });
      return sendListing(exchange, metadata);
    }
    if (!path.startsWith("/files/"))
      throw new StoreError(404, "filestore/no-such-path", `${path.slice(0, 200)} is not served here`, { next: "files are below /files/" });
    const name = parseFileName(path.slice("/files/".length));
    switch (method) {
      case "PUT":
        return files.put(exchange, name);
      case "GET":
      case "HEAD":
        return files.get(exchange, name);
      case "DELETE":
        return files.delete(exchange, name);
      default:
        throw new StoreError(405, "filestore/bad-method", `${method} is not possible here`, {
          headers: { allow: "PUT, GET, HEAD, DELETE" },
        });
    }
  };
}
