import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError, messageOf } from "./errors.ts";
import { openFormerStore } from "./former-store.ts";
import { metadataTable, metadataTypes } from "./metadata-types.ts";
import type { Fleet, JsonValue, RequestBody, ServedMember } from "./muster.ts";
import { metadataServersOf } from "./placement.ts";
import { type ServerArguments, enterRoll, runServer } from "./server-process.ts";

/** A hung process is passed over after so long; a dead one at once. */
const maxPeriodMs = 1000;
const leaveMsMax = 3000;
/** How long a backup waits for the primary to found their group, in a fleet that is new. */
const foundedMsMax = 15_000;
const importBatch = 200;
const againMs = 250;

/** One member of a service instance, with its own copy of that instance's state below the process's folder. */
function serveMember(server: string, port: number, { folder, fleet }: ServerArguments): Promise<ServedMember> {
  const instance = server.slice(0, server.lastIndexOf("."));
  let member: ServedMember | undefined;
  const types = metadataTypes(instance, fleet, () => member?.group.status());
  const data = join(folder.path, server);
  return enterRoll(async () => {
    member = await fleet.serve(metadataTable, server, { port, maxPeriodMs, drainMs: leaveMsMax, group: { data }, types });
    return member;
  });
}

/** Lets the instance answer, after taking over what an earlier format has left beside the process's folder. */
async function openInstance(instance: string, { fleet, folder, log }: ServerArguments, ended: AbortSignal): Promise<void> {
  const send = async (body: JsonValue): Promise<boolean> => {
    const answer: RequestBody = await fleet.request(instance, "open", body, { table: metadataTable, signal: ended });
    return typeof answer === "object" && answer !== null && Reflect.get(answer, "isOpen") === true;
  };
  const former = openFormerStore(folder.path, instance);
  if (former === undefined) return void (await send({ records: [], version: 0, isLast: true }));
  const { version } = former;
  try {
    if (await send({ records: [], version, isLast: false })) return;
    let count = 0;
    for (const batch of former.batches(importBatch)) {
      await send({ records: batch.map((record) => ({ ...record })), version, isLast: false });
      count += batch.length;
    }
    await send({ records: [], version, isLast: true });
    log(`took over ${count} records from ${former.folder}`);
  } finally {
    await former.close();
  }
  await former.retire();
}

/** A group is founded by its primary where there is one, so that names and parts agree in a fleet that is new. */
async function founded(fleet: Fleet, instance: string, ended: AbortSignal): Promise<void> {
  const endMs = performance.now() + foundedMsMax;
  while (fleet.get("groups", `${metadataTable}/${instance}`) === undefined && performance.now() < endMs)
    await delay(againMs / 5, undefined, { signal: ended });
}

await runServer({
  options: { port: "0", ring: "" },
  start: async (given) => {
    const { key, options, fleet, log } = given;
    const port = Number(options["port"]);
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new StoreError(400, "filestore/usage", `--port ${options["port"]} is not a port`, { next: "e.g. --port 7100" });
    const { instance, backup } = metadataServersOf(key, options["ring"] ?? "");
    const ended = new AbortController();
    const members = [await serveMember(key, port, given)];
    const opened = (async () => {
      while (!ended.signal.aborted) {
        try {
          return await openInstance(instance, given, ended.signal);
        } catch (thrown) {
          if (!ended.signal.aborted) log(`${instance} does not answer yet: ${messageOf(thrown)}`);
        }
        await delay(againMs, undefined, { signal: ended.signal }).catch(() => {});
      }
    })();
    const backedUp = (async () => {
      if (backup === undefined) return;
      await founded(fleet, backup.slice(0, backup.lastIndexOf(".")), ended.signal).catch(() => {});
      if (!ended.signal.aborted) members.push(await serveMember(backup, port, given));
    })();
    return {
      serves: `serves as ${metadataTable} ${key}${backup === undefined ? "" : `, and backs up ${backup}`}`,
      // A process that keeps half of what it should ends, so that somebody sees it.
      failed: new Promise((_, reject) => void backedUp.catch(reject)),
      leave: async () => {
        ended.abort();
        await Promise.allSettled([opened, backedUp]);
        await Promise.all(members.map((member) => member.close().catch(() => {})));
      },
      close: async () => {},
    };
  },
});
