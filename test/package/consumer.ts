// Type-checked, not run: what a user's program sees of the package's declarations.
import { type CompleteRoute, type Fleet, MusterError, connect } from "@musterhq/muster";
import { SimWorld } from "@musterhq/muster/testing";

export async function addressOf(fleet: Fleet, key: string): Promise<string | undefined> {
  const route: CompleteRoute | undefined = fleet.find("metadata", key, { where: { zone: "a" }, policy: "rendezvous", seed: key });
  return route === undefined ? undefined : `${route.address}:${route.port}`;
}

export async function program(): Promise<void> {
  await using fleet = await connect({ agent: "./agent.sock", tables: ["metadata"] });
  const subscription = fleet.subscribe({ tables: ["metadata"], context: 7 }, (event, context) => {
    const seven: number = context;
    console.log(event.event, event.entry?.key, seven);
  });
  try {
    await fleet.add("gateway", "GW.3", { host: "HOST3", port: 8080 });
  } catch (error) {
    if (error instanceof MusterError && error.effect === "none") console.log(error.code, error.next);
  }
  // @ts-expect-error: a port is a number
  await fleet.serve("metadata", "MDS.1.1", { port: "1872" });
  subscription.cancel();
}

export const world: typeof SimWorld = SimWorld;
