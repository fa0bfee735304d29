import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FleetHandle } from "../../../src/fleet/index.ts";
import type { RequestContext, TraceContext } from "../../../src/requests/index.ts";
import { SimFleet } from "../../../src/testing/index.ts";

const trace: TraceContext = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "rojo=00f067aa0ba902b7" };
const child: TraceContext = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01" };

type Seen = readonly [where: string, trace: TraceContext | undefined];

/** Two hosts with a server each, and a caller on a third. */
async function stage(): Promise<{ fleet: SimFleet; seen: Seen[]; caller: FleetHandle; server: (number: number) => FleetHandle }> {
  const fleet = new SimFleet({ seed: 1 });
  fleet.addDirectory();
  for (const host of ["HOST1", "HOST2", "HOST3"]) fleet.addAgent(host);
  fleet.addClient("s1", { agent: "HOST1" });
  fleet.addClient("s2", { agent: "HOST2" });
  fleet.addClient("caller", { agent: "HOST3" });
  await fleet.start();
  return { fleet, seen: [], caller: fleet.client("caller"), server: (number) => fleet.client(`s${number}`) };
}

describe("the trace of a request", () => {
  test("comes to its handler, and goes on with what the handler asks", async () => {
    const { fleet, seen, caller, server } = await stage();
    const inner = (_: unknown, { trace: given }: RequestContext) => {
      seen.push(["inner", given]);
      return null;
    };
    const outer = async (_: unknown, context: RequestContext) => {
      seen.push(["outer", context.trace]);
      await server(1).request("GW.1.1", "inner", null, { ...context.trace, ...child });
      return null;
    };
    await fleet.until(server(1).serve("metadata", "MDS.1.1", { port: 0, types: { outer: { effect: "read", handle: outer } } }));
    await fleet.until(server(2).serve("gateway", "GW.1.1", { port: 0, types: { inner: { effect: "read", handle: inner } } }));
    await fleet.runFor(50);
    await fleet.until(caller.request("MDS.1.1", "outer", null, { ...trace }));
    assert.deepEqual(seen, [
      ["outer", trace],
      ["inner", { ...trace, ...child }],
    ]);
  });

  test("comes to every member that is asked at once, by datagram or by link", async () => {
    const fleet = new SimFleet({ seed: 1 });
    fleet.addDirectory();
    for (const number of [1, 2, 3, 4]) fleet.addAgent(`HOST${number}`);
    for (const number of [1, 2, 3]) fleet.addClient(`s${number}`, { agent: `HOST${number}` });
    fleet.addClient("caller", { agent: "HOST4" });
    await fleet.start();
    const seen: Seen[] = [];
    for (const number of [1, 2, 3]) {
      const handle = (_: unknown, context: RequestContext) => {
        seen.push([`s${number}`, context.trace]);
        return number;
      };
      const types = { look: { effect: "read", handle } } as const;
      await fleet.until(fleet.client(`s${number}`).serve("metadata", `MDS.${number}.1`, { port: 0, types }));
    }
    await fleet.runFor(50);
    const caller = fleet.client("caller");
    for (let count = 0; count < 3; count++) {
      assert.equal((await fleet.until(caller.gather("MDS", "look", null, { ...trace }))).complete, true);
      await fleet.runFor(100);
    }
    await fleet.until(caller.request("MDS", "look", null, { ...child, copies: "all" }));
    await fleet.runFor(20);
    assert.deepEqual(seen.filter(([, one]) => one?.tracestate !== undefined).length, 9);
    assert.deepEqual(seen.filter(([, one]) => one?.traceparent === child.traceparent).length, 3);
    assert.equal(seen.length, 12);
  });

  test("that cannot be read is left out, and the request is answered; without one there is none", async () => {
    const { fleet, seen, caller, server } = await stage();
    const handle = (_: unknown, context: RequestContext) => {
      seen.push(["", context.trace]);
      return "answer";
    };
    await fleet.until(server(1).serve("metadata", "MDS.1.1", { port: 0, concurrency: 1, types: { look: { effect: "read", handle } } }));
    await fleet.runFor(50);
    const { traceparent } = trace;
    const given = [{}, { traceparent: "nonsense" }, { tracestate: "a=1" }, { traceparent, tracestate: "no list" }];
    for (const options of given) assert.equal(await fleet.until(caller.request("MDS.1.1", "look", null, options)), "answer");
    assert.deepEqual(
      seen.map(([, one]) => one),
      [undefined, undefined, undefined, { traceparent }],
    );
  });

  test("comes with a request that waits for its turn, and with the next attempt when the first is lost", async () => {
    const { fleet, seen, caller, server } = await stage();
    for (const number of [1, 2]) {
      const handle = async (_: unknown, context: RequestContext) => {
        seen.push([`s${number}`, context.trace]);
        await new Promise<void>((resolve) => void fleet.member(`s${number}`).life.clock.schedule(40, resolve));
        return number;
      };
      const options = { port: 0, concurrency: 1, types: { look: { effect: "read", copies: "none", handle } } } as const;
      await fleet.until(server(number).serve("metadata", `MDS.${number}.1`, options));
    }
    await fleet.runFor(50);
    const asked = Array.from({ length: 4 }, () => caller.request("MDS", "look", null, { ...trace, deadlineMs: 5000 }));
    await fleet.runFor(10);
    fleet.member("s1").crash();
    await fleet.until(Promise.all(asked));
    assert.ok(seen.length >= 5, `${seen.length} attempts`);
    for (const [, one] of seen) assert.deepEqual(one, trace);
  });

  test("comes to the handler of an ordered write at the server that synchronises, and to reads of the group", async () => {
    const { fleet, seen, caller, server } = await stage();
    const serve = (number: number) =>
      server(number).serve("metadata", `MDS.1.${number}`, {
        port: 0,
        group: { data: "/data" },
        types: {
          add: {
            effect: "write",
            handle: (_, context) => {
              seen.push([`add at ${number}`, context.trace]);
              context.state.put("a", new Uint8Array([1]));
              return null;
            },
          },
          look: {
            effect: "read",
            handle: (_, context) => {
              seen.push(["look", context.trace]);
              return null;
            },
          },
        },
      });
    for (const number of [1, 2]) await fleet.until(serve(number));
    await fleet.runFor(500);
    await fleet.until(caller.request("MDS.1", "add", null, { ...trace }));
    await fleet.until(caller.request("MDS.1", "look", null, { ...trace }));
    await fleet.until(caller.request("MDS.1", "look", null, { ...child, consistency: "latest" }));
    await fleet.until(caller.request("MDS.1", "add", null));
    const [add, ...others] = seen;
    assert.match(add?.[0] ?? "", /^add at [12]$/);
    assert.deepEqual(add?.[1], trace);
    assert.deepEqual(
      others.map(([, one]) => one),
      [trace, child, undefined],
    );
  });
});
