import { StoreError } from "./errors.ts";
import { parseFileName, parseFileRecord, parseObjectId } from "./file-record.ts";
import { type Exchange, type Handler, readJson, sendJson } from "./http-server.ts";
import type { Expected, MetadataStore } from "./metadata-store.ts";
import type { Fleet } from "./muster.ts";
import { partitionCount, partitionOf } from "./placement.ts";

const table = "metadata-partition";
export const listLimitMax = 1000;
export const referencesMax = 1000;

/** The part of the roll that a metadata server looks at. */
export type PartitionMap = Pick<Fleet, "get" | "findPartition">;

/** Does the roll give this partition to the server? A service instance's servers (`MDS.1.1`) serve what `MDS.1` is given. */
export function servesPartition(map: PartitionMap, key: string, partition: number): boolean {
  const row = map.get(table, String(partition))?.value;
  const owner = typeof row === "string" ? row : map.findPartition(table, partition)?.instance;
  return owner !== undefined && (owner === key || key.startsWith(`${owner}.`));
}

function parseExpected(header: string | string[] | undefined): Expected {
  if (header === "absent") return "absent";
  const version = Number(header);
  if (typeof header !== "string" || !/^\d+$/.test(header) || !Number.isSafeInteger(version))
    throw new StoreError(428, "filestore/no-version", "a change must say which version it replaces", {
      next: 'send "if-version: NUMBER" or "if-version: absent"',
    });
  return version;
}

/**
 * A metadata server:
 *
 *   GET|PUT|DELETE /partitions/P/files/NAME     one record; PUT and DELETE need `if-version`; 412 names what stands there
 *   GET /partitions/P/files?prefix=&after=&limit=
 *   POST /references {"objects": […]}           which of them belong to a file, and which partitions that answer covers
 */
export function metadataHandler(store: MetadataStore, fleet: PartitionMap, key: string): Handler {
  const requirePartition = (text: string): number => {
    const partition = Number(text);
    if (!/^\d+$/.test(text) || partition >= partitionCount)
      throw new StoreError(404, "filestore/no-partition", `there is no partition ${text.slice(0, 20)}`);
    if (!servesPartition(fleet, key, partition))
      throw new StoreError(421, "filestore/wrong-server", `${key} does not serve metadata partition ${partition}`, {
        next: `look it up in the table ${table}, which names ${JSON.stringify(fleet.get(table, String(partition))?.value ?? null)}`,
      });
    return partition;
  };

  const serveFile = async (exchange: Exchange, partition: number, name: string): Promise<void> => {
    const { request, response } = exchange;
    if (partitionOf("metadata", name) !== partition)
      throw new StoreError(400, "filestore/wrong-partition", `"${name}" does not belong to partition ${partition}`);
    if (request.method === "GET") {
      const record = store.get(name);
      if (record === undefined) throw new StoreError(404, "filestore/no-such-file", `there is no file "${name}"`);
      return sendJson(response, 200, record);
    }
    const expected = parseExpected(request.headers["if-version"]);
    if (request.method === "PUT") {
      const record = parseFileRecord(await readJson(exchange));
      if (record.name !== name) throw new StoreError(400, "filestore/bad-record", "the record's name is not that of the path");
      const outcome = await store.put(record, expected);
      return sendJson(
        response,
        outcome.done ? 200 : 412,
        outcome.done ? { version: outcome.version } : { current: outcome.current ?? null },
      );
    }
    if (request.method === "DELETE" && expected !== "absent") {
      const outcome = await store.delete(name, expected);
      return sendJson(
        response,
        outcome.done ? 200 : 412,
        outcome.done ? { version: outcome.version } : { current: outcome.current ?? null },
      );
    }
    throw new StoreError(405, "filestore/bad-method", `${request.method} is not possible here`);
  };

  return async (exchange) => {
    const { request, response, path, query } = exchange;
    const match = /^\/partitions\/(\d{1,4})\/files(?:\/(.*))?$/.exec(path);
    if (match !== null) {
      const partition = requirePartition(match[1] ?? "");
      if (match[2] !== undefined) return serveFile(exchange, partition, parseFileName(match[2]));
      if (request.method !== "GET") throw new StoreError(405, "filestore/bad-method", "a listing is read with GET");
      const limit = Math.min(listLimitMax, Math.max(1, Number(query.get("limit") ?? listLimitMax) || listLimitMax));
      return sendJson(response, 200, store.list(partition, { prefix: query.get("prefix") ?? "", after: query.get("after") ?? "", limit }));
    }
    if (path === "/references" && request.method === "POST") {
      const body = await readJson(exchange);
      const objects: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "objects") : undefined;
      if (!Array.isArray(objects) || objects.length > referencesMax)
        throw new StoreError(400, "filestore/bad-request", `"objects" is a list of at most ${referencesMax} object ids`);
      const partitions = Array.from({ length: partitionCount }, (_, partition) => partition).filter((one) =>
        servesPartition(fleet, key, one),
      );
      return sendJson(response, 200, { partitions, referenced: store.referenced(objects.map((one) => parseObjectId(String(one)))) });
    }
    throw new StoreError(404, "filestore/no-such-path", `${request.method} ${path.slice(0, 200)} is not served here`);
  };
}
