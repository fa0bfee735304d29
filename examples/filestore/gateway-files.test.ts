import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";
import { verified } from "./gateway-files.ts";

async function* source(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

test("a reader never gets the last bytes of a file that is not what was stored", async () => {
  const sha256 = createHash("sha256").update("abcdef").digest("hex");
  const good = await Readable.from(verified(source("abc", "def"), sha256)).toArray();
  assert.equal(Buffer.concat(good).toString(), "abcdef");
  const got: string[] = [];
  await assert.rejects(
    async () => {
      for await (const chunk of verified(source("abc", "dex"), sha256)) got.push(chunk.toString());
    },
    { code: "filestore/damaged-object" },
  );
  assert.deepEqual(got, ["abc"]);
});
