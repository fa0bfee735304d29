import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, type Connection, type Listener, type Transport, formatAddress } from "../transport/index.ts";

export interface TransportUnderTest {
  readonly transport: Transport;
  /** Where a listener can be opened; a TCP address has port 0, a unix path is free. */
  readonly address: Address;
  /** An address of the same kind where nobody listens. */
  readonly nobody: Address;
  /** Lets time pass until the promise settles: the real world needs nothing, a simulated one steps its clock. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** What every transport must do, written once: `test/integration` runs it on sockets, the simulator on its network. */
export function transportConformance(name: string, makeTransport: () => Promise<TransportUnderTest>): void {
  const scenario = (title: string, run: (pair: Scene) => Promise<void>) =>
    test(title, { timeout: 20_000 }, async () => {
      const scene = new Scene(await makeTransport());
      try {
        await run(scene);
      } finally {
        await scene.close();
      }
    });

  describe(`transport: ${name}`, () => {
    scenario("bytes arrive in order and complete in both directions, however they were cut", async (scene) => {
      const { near, far } = await scene.pair();
      const there = pattern(300_000, 1);
      const back = pattern(200_000, 7);
      for (let at = 0, step = 1; at < there.length; at += step, step = (step * 7 + 3) % 20_011)
        near.connection.write(there.slice(at, at + step));
      far.connection.write(back);
      await scene.until(() => far.bytes >= there.length && near.bytes >= back.length, far, near);
      assert.deepEqual(far.all(), there);
      assert.deepEqual(near.all(), back);
    });

    scenario("an orderly end delivers what was written before it and closes both ends once, without an error", async (scene) => {
      const { near, far } = await scene.pair();
      near.connection.write(pattern(100_000, 3));
      near.connection.end();
      near.connection.write(Uint8Array.of(1));
      await scene.until(() => near.closes > 0 && far.closes > 0, near, far);
      assert.equal(far.bytes, 100_000);
      assert.deepEqual([near.closes, far.closes, near.error, far.error], [1, 1, undefined, undefined]);
    });

    scenario("an end while the other side is paused waits for it and loses nothing", async (scene) => {
      const { near, far } = await scene.pair();
      far.connection.pause();
      near.connection.write(pattern(50_000, 5));
      near.connection.end();
      far.connection.resume();
      await scene.until(() => far.closes > 0, far);
      assert.equal(far.bytes, 50_000);
    });

    scenario("destroy closes both ends, and writes to either are harmless afterwards", async (scene) => {
      const { near, far } = await scene.pair();
      far.connection.destroy();
      far.connection.destroy();
      await scene.until(() => near.closes > 0 && far.closes > 0, near, far);
      near.connection.write(Uint8Array.of(1));
      far.connection.write(Uint8Array.of(1));
      near.connection.end();
      assert.deepEqual([near.closes, far.closes], [1, 1]);
      assert.equal(far.error, undefined);
    });

    scenario("nothing is delivered while paused, the sender sees it pile up, and drain tells when it has gone", async (scene) => {
      const { near, far } = await scene.pair();
      far.connection.write(Uint8Array.of(9));
      await scene.until(() => near.bytes === 1, near);
      near.connection.pause();
      const before = far.drains;
      const part = pattern(64 * 1024, 11);
      let written = 0;
      // More than any system buffers by itself; the bound only ends the test should nothing ever pile up.
      while (far.connection.bufferedBytes < 1024 * 1024 && written < 256) {
        far.connection.write(part);
        written++;
      }
      assert.ok(far.connection.bufferedBytes >= 1024 * 1024);
      assert.equal(near.bytes, 1);
      assert.equal(far.drains, before);
      near.connection.resume();
      await scene.until(() => near.bytes === 1 + written * part.length && far.drains > before, near, far);
      assert.equal(far.connection.bufferedBytes, 0);
    });

    scenario("a backlog of a single byte ends in a drain too", async (scene) => {
      const { near, far } = await scene.pair();
      near.connection.pause();
      const part = pattern(64 * 1024, 13);
      for (let written = 0; far.connection.bufferedBytes === 0 && written < 256; written++) far.connection.write(part);
      far.connection.write(Uint8Array.of(1));
      near.connection.resume();
      await scene.until(() => far.drains > 0, near, far);
      // From here on whatever is left behind is small, and is told of all the same.
      const before = far.drains;
      near.connection.pause();
      for (let written = 0; far.connection.bufferedBytes === 0 && written < 20_000; written++) far.connection.write(part.subarray(0, 1024));
      near.connection.resume();
      await scene.until(() => far.drains > before, near, far);
      assert.equal(far.connection.bufferedBytes, 0);
    });

    scenario("each side knows the address of the other", async (scene) => {
      const { near, far } = await scene.pair();
      assert.equal(formatAddress(near.connection.peer), formatAddress(scene.listening));
      if (near.connection.local.kind === "tcp") assert.equal(formatAddress(far.connection.peer), formatAddress(near.connection.local));
      assert.equal(formatAddress(far.connection.local), formatAddress(scene.listening));
    });

    scenario("port 0 is replaced by the port that was bound", async (scene) => {
      await scene.listen();
      if (scene.listening.kind === "tcp") assert.ok(scene.listening.port > 0);
    });

    scenario("connections of one listener do not mix", async (scene) => {
      const first = await scene.pair();
      const second = await scene.pair();
      first.near.connection.write(Uint8Array.of(1));
      second.near.connection.write(Uint8Array.of(2));
      await scene.until(() => first.far.bytes === 1 && second.far.bytes === 1, first.far, second.far);
      assert.deepEqual([[...first.far.all()], [...second.far.all()]], [[1], [2]]);
      first.near.connection.destroy();
      await scene.until(() => first.far.closes === 1, first.far);
      assert.equal(second.far.closes, 0);
    });

    scenario("where nobody listens a connection is refused, and the error names the address and the next step", async (scene) => {
      const { transport, nobody } = scene.world;
      await assert.rejects(scene.world.settle(transport.connect(nobody)), (error: Error & { code?: string; next?: string }) => {
        assert.equal(error.code, "transport/refused");
        assert.ok(error.message.includes(formatAddress(nobody)));
        assert.ok(error.next !== undefined);
        return true;
      });
    });

    scenario("an address that is taken cannot be listened on", async (scene) => {
      await scene.listen();
      await assert.rejects(scene.world.settle(scene.world.transport.listen(scene.listening, () => {})), {
        code: "transport/address-in-use",
      });
    });

    scenario("a closed listener refuses, keeps what it accepted, and frees its address", async (scene) => {
      const { near, far } = await scene.pair();
      const { listening, world } = scene;
      await world.settle(scene.stopListening());
      await assert.rejects(world.settle(world.transport.connect(listening)), { code: "transport/refused" });
      near.connection.write(Uint8Array.of(5));
      await scene.until(() => far.bytes === 1, far);
      const again = await world.settle(world.transport.listen(listening, () => {}));
      await world.settle(again.close());
    });
  });
}

/** One world with one listener and the ends that were opened in it. */
class Scene {
  readonly world: TransportUnderTest;
  readonly #ends: End[] = [];
  readonly #accepted: End[] = [];
  #listener: Listener | undefined;
  #notify = () => {};

  constructor(world: TransportUnderTest) {
    this.world = world;
  }

  get listening(): Address {
    assert.ok(this.#listener !== undefined);
    return this.#listener.address;
  }

  async listen(): Promise<void> {
    this.#listener ??= await this.world.settle(
      this.world.transport.listen(this.world.address, (connection) => {
        this.#accepted.push(this.#open(connection));
        this.#notify();
      }),
    );
  }

  async stopListening(): Promise<void> {
    await this.#listener?.close();
  }

  async pair(): Promise<{ near: End; far: End }> {
    await this.listen();
    const before = this.#accepted.length;
    const near = this.#open(await this.world.settle(this.world.transport.connect(this.listening)));
    await this.until(() => this.#accepted.length > before);
    const far = this.#accepted[before];
    assert.ok(far !== undefined);
    return { near, far };
  }

  /** Waits for the condition, which is looked at whenever one of the ends (or the listener) has news. */
  async until(condition: () => boolean, ...ends: End[]): Promise<void> {
    if (condition()) return;
    const met = new Promise<void>((resolve) => {
      const look = () => {
        if (condition()) resolve();
      };
      this.#notify = look;
      for (const end of ends) end.notify = look;
    });
    await this.world.settle(met);
  }

  async close(): Promise<void> {
    for (const end of this.#ends) end.connection.destroy();
    await this.#listener?.close();
    await this.world.close();
  }

  #open(connection: Connection): End {
    const end = new End(connection);
    this.#ends.push(end);
    return end;
  }
}

/** Records what one end sees. */
class End {
  readonly connection: Connection;
  readonly #chunks: Uint8Array[] = [];
  notify = () => {};
  bytes = 0;
  drains = 0;
  closes = 0;
  error: Error | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    connection.open({
      data: (chunk) => {
        assert.equal(this.closes, 0, "nothing follows the close");
        this.#chunks.push(Uint8Array.from(chunk));
        this.bytes += chunk.length;
        this.notify();
      },
      drain: () => {
        this.drains++;
        this.notify();
      },
      close: (error) => {
        this.closes++;
        this.error = error;
        this.notify();
      },
    });
  }

  all(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.#chunks));
  }
}

function pattern(length: number, step: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * step + (index >> 8)) & 0xff);
}
